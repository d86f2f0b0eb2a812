/** How much of a lane is drawn: no more than a screen has columns, however many spans and points there are. */

/** The part of the time that is looked at, and the columns that it has. */
export interface Extent {
  readonly from: number;
  readonly to: number;
  /** Width in CSS pixels. */
  readonly width: number;
  /** Columns of the screen in a CSS pixel. */
  readonly scale: number;
}

/** A span that is wide enough for a border; places in CSS pixels from the left of the lane. */
export interface Bar {
  readonly name: number;
  readonly x: number;
  readonly width: number;
}

/** What is drawn of the spans of a lane. */
export interface Level {
  readonly bars: readonly Bar[];
  /** For each column of the screen the name of a narrow span, counted from 1; 0: none; MANY: too many to show one. */
  readonly columns: Uint32Array;
  /** How many spans were looked at. */
  readonly visited: number;
}

/** A column in which so many spans begin that the colour of one of them would say something wrong. */
export const MANY = 0xffff_ffff;
const FEW = 3;

/** Bars below this width are columns of colour. */
const NARROW = 8;

/** Place of the last span that begins at or before a time; -3 when there is none. */
export function spanAt(spans: readonly number[], t: number): number {
  return 3 * (lastBefore(spans, 3, 1, t) - 1);
}

/** How many items of a flat list begin at or before a time; `at` is where in an item the time stands. */
function lastBefore(list: readonly number[], size: number, at: number, t: number): number {
  let [low, high] = [0, list.length / size];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[size * middle + at]! <= t) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Chooses what is drawn of spans that do not overlap. */
export function levelOf(spans: readonly number[], { from, to, width, scale }: Extent): Level {
  const perPixel = width / (to - from);
  const columns = new Uint32Array(Math.ceil(width * scale));
  const bars: Bar[] = [];
  let visited = 0;
  let index = Math.max(0, spanAt(spans, from));
  while (index < spans.length && spans[index + 1]! <= to) {
    visited++;
    const x = Math.max(0, (spans[index + 1]! - from) * perPixel);
    const end = Math.min(width, (spans[index + 2]! - from) * perPixel);
    if (end - x >= NARROW) bars.push({ name: spans[index]!, x, width: end - x });
    else if (end >= 0) {
      const first = Math.floor(x * scale);
      columns.fill(
        spans[index]! + 1,
        columns[first] === MANY ? first + 1 : first,
        Math.max(first + 1, Math.round(end * scale)),
      );
    }
    if (end - x > 1 / scale) {
      index += 3;
      continue;
    }
    // What begins in the same column of the screen is not to be seen.
    const column = Math.floor(x * scale);
    const next = Math.max(index + 3, spanAt(spans, from + (column + 1) / scale / perPixel));
    if (next - index > 3 * FEW) columns[column] = MANY;
    index = next;
  }
  return { bars, columns, visited };
}

/** Lowest, highest and last value of a curve in a column of the screen. */
export interface Column {
  readonly x: number;
  readonly low: number;
  readonly high: number;
  readonly last: number;
}

/** What is drawn of a curve: the columns in which it has points, and the last point before them. */
export function curveOf(points: readonly number[], { from, to, width }: Extent): Column[] {
  // After its last point nothing is known of it.
  if (points.length === 0 || points[points.length - 2]! < from) return [];
  const perPixel = width / (to - from);
  const columns: { x: number; low: number; high: number; last: number }[] = [];
  const first = Math.max(0, 2 * (lastBefore(points, 2, 0, from) - 1));
  for (let index = first; index < points.length && points[index]! <= to; index += 2) {
    const x = Math.max(0, (points[index]! - from) * perPixel);
    const value = points[index + 1]!;
    const column = columns.at(-1);
    if (column === undefined || x - column.x >= 1) columns.push({ x, low: value, high: value, last: value });
    else {
      column.low = Math.min(column.low, value);
      column.high = Math.max(column.high, value);
      column.last = value;
    }
  }
  return columns;
}

/** The value of a curve at a time: that of the last point before; undefined outside of it. */
export function valueAt(points: readonly number[], t: number): number | undefined {
  const count = lastBefore(points, 2, 0, t);
  if (count === 0 || t > points[points.length - 2]!) return undefined;
  return points[2 * count - 1];
}

/** Places of the axis that get a number: round ones, at least so many pixels apart. */
export function ticksOf({ from, to, width }: Extent, apart: number): { step: number; ticks: number[] } {
  const rough = (to - from) / Math.max(1, Math.floor(width / apart));
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(
    1,
    [1, 2, 5, 10].map((times) => times * power).find((each) => each >= rough) ?? rough,
  );
  const ticks: number[] = [];
  for (let number = Math.ceil(from / step); number * step <= to; number++) ticks.push(number * step);
  return { step, ticks };
}

/** Marks that are too near to each other to be told apart, as one. */
export interface Cluster<M> {
  readonly x: number;
  readonly marks: readonly M[];
}

/** Gathers marks of a lane, in the order of their places, that are nearer than so many pixels. */
export function clustersOf<M extends { readonly x: number }>(
  marks: readonly M[],
  near: number,
): Cluster<M>[] {
  const clusters: { x: number; marks: M[] }[] = [];
  for (const mark of [...marks].sort((a, b) => a.x - b.x)) {
    const last = clusters.at(-1);
    if (last !== undefined && mark.x - last.x < near) last.marks.push(mark);
    else clusters.push({ x: mark.x, marks: [mark] });
  }
  return clusters;
}
