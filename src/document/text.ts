import { type MachineDescription, type Paths, shortNames } from './description.js';
import { table } from './table.js';

/** A machine as plain text: its states, its arcs, and the matrix of paths where there is one. */
export function machineText(machine: MachineDescription): string {
  const sections = [
    [
      `${machine.machine}: ${machine.title}`,
      `party: ${machine.party}`,
      ...(machine.capabilities.length > 0 ? [`capabilities: ${machine.capabilities.join(', ')}`] : []),
    ],
    ['states (* initial)', ...table(machine.states.map(stateRow))],
    ['arcs', ...table(machine.arcs.map(({ from, to, event, clause }) => [from, '->', to, event, clause]))],
    ...(machine.paths === undefined ? [] : [pathMatrix(machine.paths)]),
  ];
  return `${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function stateRow({ name, initial, description, clause }: MachineDescription['states'][number]): string[] {
  return [initial ? '*' : ' ', name, clause, description];
}

/** Rows: the current state; columns: the requested one; cells: the states on the way, in short names. */
function pathMatrix(paths: Paths): string[] {
  const names = Object.keys(paths);
  const short = shortNames(names);
  const rows = names.map((from) => [
    from,
    short.get(from)!,
    ...names.map((to) => cell(paths[from]?.[to] ?? null, short)),
  ]);
  return [
    'paths of requested transitions (row: current state, column: requested state;',
    'a cell lists the states that are entered, "=" is the state itself, "-" is refused)',
    ...table([['', '', ...names.map((name) => short.get(name)!)], ...rows]),
  ];
}

function cell(path: readonly string[] | null, short: ReadonlyMap<string, string>): string {
  if (path === null) return '-';
  return path.length === 0 ? '=' : path.map((state) => short.get(state) ?? state).join(' ');
}
