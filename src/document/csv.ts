import type { MachineDescription } from './description.js';

/**
 * A machine as CSV. Of one that serves requests by combinations of arcs it is the matrix of requests: a row for the
 * state that it is in, a column for the one that is asked for, in the cell the states on the way with blanks between,
 * `=` where nothing changes, and nothing where the request is refused. Of any other, a row for each arc.
 */
export function machineCsv({ arcs, paths }: MachineDescription): string {
  const rows =
    paths === undefined
      ? [
          ['from', 'event', 'to', 'when', 'clause'],
          ...arcs.map(({ from, event, to, when = '', clause }) => [from, event, to, when, clause]),
        ]
      : [
          ['from', ...Object.keys(paths)],
          ...Object.entries(paths).map(([from, row]) => [from, ...Object.values(row).map(cell)]),
        ];
  return rows.map((row) => `${row.map(csvField).join(',')}\n`).join('');
}

function cell(path: readonly string[] | null): string {
  if (path === null) return '';
  return path.length === 0 ? '=' : path.join(' ');
}

/** A field as RFC 4180 has it. */
function csvField(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
