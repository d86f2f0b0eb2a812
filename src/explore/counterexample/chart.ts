import { configurationName } from '../../automaton/automaton.js';
import { cut, WIDTH } from '../../text/words.js';
import type { ModelState } from '../interpret.js';
import type { Action, Model } from '../model.js';
import type { Path } from '../result.js';

/** What changed in one step: names of components and variables, with their states and values after it. */
export type Changes = Readonly<Record<string, string | number>>;

/** What is different in `after`. */
export function changes(before: ModelState, after: ModelState): Changes {
  const components = Object.entries(after.components)
    .filter(([name, state]) => state.join() !== before.components[name]!.join())
    .map(([name, state]) => [name, configurationName(state)]);
  const values = Object.entries(after.values).filter(([name, value]) => value !== before.values[name]);
  return Object.fromEntries([...components, ...values]);
}

/** The lanes of a run, in the order in which they come into it. */
function lanesOf(actions: readonly Action[]): string[] {
  const lanes = actions.flatMap(({ chart }) => [chart.from, ...(chart.to === undefined ? [] : [chart.to])]);
  return [...new Set(lanes)];
}

function actionsOf(model: Model, path: Path): Action[] {
  return path.actions.map((name) => model.actions.find((each) => each.name === name)!);
}

const LEAST_LANE = 12;

/**
 * A run as a sequence chart for a terminal, at most 100 columns wide: a lane for each party, an arrow or a
 * note for each step with its number. Lanes stand under their names.
 */
export function chartText(model: Model, path: Path): string[] {
  const actions = actionsOf(model, path);
  if (actions.length === 0) return ['(the initial state)'];
  const lanes = lanesOf(actions);
  const digits = String(actions.length).length + 1;
  const room = WIDTH - digits - 1;
  const width = Math.max(
    LEAST_LANE,
    Math.min(28, Math.floor((room - 30) / Math.max(1, lanes.length - 1)) || 28),
  );
  const at = new Map(lanes.map((lane, index) => [lane, index * width]));
  const head = lanes.map((lane) => cut(lane, width - 1).padEnd(width)).join('');
  const lines = [`${' '.repeat(digits + 1)}${head}`.trimEnd()];
  const bars = (): string[] =>
    Array.from({ length: room }, (_, x) => (x % width === 0 && x < lanes.length * width ? '|' : ' '));
  for (const [index, action] of actions.entries()) {
    if (index === path.loop) lines.push(`${' '.repeat(digits + 1)}-- from here on without end --`);
    const number = `${index + 1}`.padStart(digits - 1);
    for (const [row, text] of rows(action, at, bars, room).entries())
      lines.push(`${row === 0 ? number : ' '.repeat(digits - 1)}  ${text}`.trimEnd());
  }
  if (path.loop !== null)
    lines.push(
      path.loop < actions.length
        ? `${' '.repeat(digits + 1)}-- and again from step ${path.loop + 1} --`
        : `${' '.repeat(digits + 1)}-- and nothing more has to happen --`,
    );
  if (path.end === 'deadlock') lines.push(`${' '.repeat(digits + 1)}-- nothing more can happen --`);
  return lines;
}

/** One step: its text on a line of its own where it does not fit the arrow, and the arrow. */
function rows(
  { chart: { from, to, text } }: Action,
  at: ReadonlyMap<string, number>,
  bars: () => string[],
  room: number,
): string[] {
  const start = at.get(from)!;
  const end = to === undefined ? start : at.get(to)!;
  const put = (line: string[], x: number, words: string): void => {
    for (const [offset, letter] of [...words].entries()) if (x + offset < room) line[x + offset] = letter;
  };
  const line = bars();
  if (start === end) {
    put(line, start, `* ${cut(text, room - start - 3)}`);
    return [line.join('')];
  }
  const [left, right] = start < end ? [start, end] : [end, start];
  const shaft = '-'.repeat(right - left - 1);
  put(line, left + 1, start < end ? `${shaft.slice(1)}>` : `<${shaft.slice(1)}`);
  const space = right - left - 5;
  if (text.length <= space) {
    put(line, left + 3, ` ${text} `);
    return [line.join('')];
  }
  const above = bars();
  put(above, left + 2, cut(text, room - left - 3));
  return [above.join(''), line.join('')];
}

/** A run as a Mermaid `sequenceDiagram`. */
export function chartMermaid(model: Model, path: Path): string[] {
  const actions = actionsOf(model, path);
  const lanes = lanesOf(actions);
  const id = (lane: string): string => `p${lanes.indexOf(lane)}`;
  const text = (words: string): string => words.replace(/[;#:<>]/g, (sign) => `#${sign.charCodeAt(0)};`);
  const lines = actions.flatMap(({ chart: { from, to, text: words } }, index) => [
    ...(index === path.loop ? ['  loop without end'] : []),
    to === undefined || to === from
      ? `  Note over ${id(from)}: ${text(words)}`
      : `  ${id(from)}->>${id(to)}: ${text(words)}`,
  ]);
  return [
    'sequenceDiagram',
    '  autonumber',
    ...lanes.map((lane) => `  participant ${id(lane)} as ${text(lane)}`),
    ...lines,
    ...(path.loop === null || path.loop === actions.length ? [] : ['  end']),
  ];
}
