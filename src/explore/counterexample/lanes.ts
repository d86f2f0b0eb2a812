import type { Action, Model } from '../model.js';
import type { Path } from '../result.js';

/** The actions of a run, in its order. */
export function actionsOf(model: Model, path: Path): Action[] {
  return path.actions.map((name) => model.actions.find((each) => each.name === name)!);
}

/** The lanes of a run, in the order in which they come into it. */
export function lanesOf(actions: readonly Action[]): string[] {
  const lanes = actions.flatMap(({ chart }) => [chart.from, ...(chart.to === undefined ? [] : [chart.to])]);
  return [...new Set(lanes)];
}

/** Narrowest and widest distance of two lanes. */
const [LEAST, MOST] = [12, 36];
/** Columns of an arrow beside its text: `|-- text ->|`. */
export const SHAFT = 7;
/** Columns that the text of the last lane may take without making the others narrower. */
const TAIL = 24;

/**
 * The columns at which lanes stand, the first at 0: so far apart that the arrows between neighbours, and their
 * notes, have room for their text, as far as there is any.
 * @param room columns of the whole chart
 */
export function columnsOf(
  lanes: readonly string[],
  actions: readonly Action[],
  room: number,
): Map<string, number> {
  const wanted = lanes.map((lane) => lane.length + 2);
  const last = lanes.length - 1;
  for (const { chart } of actions) {
    const ends = [chart.from, chart.to ?? chart.from].map((lane) => lanes.indexOf(lane));
    const [left, right] = [Math.min(...ends), Math.max(...ends)] as const;
    const columns = chart.text.length + (left === right ? 4 : SHAFT);
    if (right - left <= 1) wanted[left] = Math.max(wanted[left]!, columns);
  }
  const gaps = wanted.slice(0, last).map((columns) => Math.max(LEAST, Math.min(MOST, columns)));
  const most = widest(gaps, room - Math.min(TAIL, wanted[last]!));
  let column = 0;
  return new Map(
    lanes.map((lane, index) => {
      const at = column;
      column += Math.min(most, gaps[index] ?? 0);
      return [lane, at];
    }),
  );
}

/** How wide gaps may be so that all of them fit. */
function widest(gaps: readonly number[], room: number): number {
  for (let most = MOST; most > 1; most--)
    if (gaps.reduce((sum, gap) => sum + Math.min(gap, most), 0) <= room) return most;
  return 1;
}
