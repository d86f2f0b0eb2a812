import { type Html, html } from '../../text/html.js';
import { px, textWidth } from './box.js';

/** A field of a layout: where it stands, what it takes, and what is said of it. */
export interface LayoutRow {
  readonly name: string;
  /** In bytes, from the beginning. */
  readonly offset: number;
  /** In bytes. */
  readonly size: number;
  /** As the header has it, such as `u32` or `u8[16]`. */
  readonly type: string;
  readonly meaning?: string;
}

const CELL = 34;
const GUTTER = 58;
const TOP = 20;

/** A piece of a row of the drawing. */
interface Piece {
  readonly row: LayoutRow | null;
  readonly from: number;
  readonly to: number;
}

/**
 * A layout as SVG: rows of 8 or 16 bytes, or of 4 where names need it; a run of bytes that takes more than two rows
 * is drawn as one.
 */
export function byteLayout(name: string, rows: readonly LayoutRow[], size: number): Html {
  const perLine = [16, 8, 4].find((width) => width === 4 || fits(rows, size, width))!;
  const cell = perLine === 16 ? CELL + 14 : perLine === 8 ? CELL * 2.6 : CELL * 5.2;
  const lines = linesOf(rows, size, perLine);
  const width = GUTTER + perLine * cell + 8;
  const height = TOP + lines.length * CELL + 8;
  return html`<svg class="diagram bytes" viewBox="0 0 ${px(width)} ${px(height)}" width="${px(width)}" height="${px(height)}" role="img" aria-label="Layout of ${name}, ${size} bytes">
${Array.from({ length: perLine }, (_, byte) => html`<text class="offset" x="${px(GUTTER + (byte + 0.5) * cell)}" y="13" text-anchor="middle">${byte}</text>`)}
${lines.map((line, index) => lineText(line, { y: TOP + index * CELL, cell, perLine }))}
</svg>`;
}

function fits(rows: readonly LayoutRow[], size: number, perLine: number): boolean {
  if (perLine === 16 && size <= 64) return false;
  const cell = perLine === 16 ? CELL + 14 : CELL * 2.6;
  return rows.every((row) => {
    const room = Math.min(row.size, perLine - (row.offset % perLine)) * cell;
    return textWidth(row.name) + 8 <= room;
  });
}

/** The drawing's lines; a line is folded when it stands for several of one field. */
interface Line {
  readonly offset: number;
  readonly pieces: readonly Piece[];
}

function linesOf(rows: readonly LayoutRow[], size: number, perLine: number): Line[] {
  const lines: Line[] = [];
  const sorted = [...rows].sort((a, b) => a.offset - b.offset);
  let offset = 0;
  while (offset < size) {
    const whole = sorted.find(
      (row) =>
        row.offset <= offset && row.offset + row.size >= offset + 2 * perLine && row.size > 2 * perLine,
    );
    if (whole !== undefined) {
      const to = Math.floor((whole.offset + whole.size) / perLine) * perLine;
      lines.push({ offset, pieces: [{ row: whole, from: offset, to }] });
      offset = to;
      continue;
    }
    const end = Math.min(offset + perLine, size);
    lines.push({ offset, pieces: piecesOf(sorted, offset, end) });
    offset = end;
  }
  return lines;
}

function piecesOf(rows: readonly LayoutRow[], from: number, end: number): Piece[] {
  const pieces: Piece[] = [];
  let at = from;
  for (const row of rows) {
    const [start, stop] = [Math.max(row.offset, from), Math.min(row.offset + row.size, end)];
    if (start >= stop) continue;
    if (start > at) pieces.push({ row: null, from: at, to: start });
    pieces.push({ row, from: start, to: stop });
    at = stop;
  }
  if (at < end) pieces.push({ row: null, from: at, to: end });
  return pieces;
}

function lineText(
  { offset, pieces }: Line,
  { y, cell, perLine }: { y: number; cell: number; perLine: number },
): Html {
  return html`<text class="offset" x="${GUTTER - 8}" y="${px(y + 21)}" text-anchor="end">${offset}</text>
${pieces.map(({ row, from, to }) => {
  const folded = to - from > perLine;
  const x = GUTTER + (folded ? 0 : from - offset) * cell;
  const width = (folded ? perLine : to - from) * cell;
  const name =
    row === null ? '' : folded ? `${row.name} (bytes ${from} to ${to - 1})` : labelIn(row, from, width);
  const words = row === null ? 'padding' : `${row.name}: ${row.type} at ${row.offset}, ${row.size} bytes`;
  return html`<g class="field${row === null ? ' padding' : ''}"${row === null ? '' : html` data-field="${row.name}" data-offset="${row.offset}"`}><title>${words}</title><rect x="${px(x)}" y="${px(y)}" width="${px(width)}" height="${CELL - 4}"/>${name === '' ? '' : html`<text x="${px(x + width / 2)}" y="${px(y + 20)}" text-anchor="middle">${name}</text>`}</g>
`;
})}`;
}

/** The name where the field begins, and nothing where it goes on. */
function labelIn(row: LayoutRow, from: number, width: number): string {
  if (from !== row.offset) return textWidth('…') < width ? '…' : '';
  return textWidth(row.name) + 6 <= width ? row.name : '…';
}
