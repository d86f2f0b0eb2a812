import { type Case, type CoverageMeter, planned } from '../suite/index.js';
import { prefixOf } from './case.js';

/**
 * The best beginning of a suite: the cases in an order in which each adds the most coverage per step to those
 * before it, as many as the budget allows; the last one may be cut. A larger budget gives a suite that begins
 * with the smaller one's, so it covers no less.
 * @param meter says what a case covers; a case of its own counts as one thing more
 */
export function withinBudget(cases: readonly Case[], budget: number, meter: CoverageMeter): Case[] {
  const left = cases.map((each) => {
    const items = new Set([`case ${each.id}`]);
    for (const [measure, item] of meter.itemsOf(planned(each))) items.add(`${measure} ${item}`);
    return { each, items, worth: items.size / each.steps.length };
  });
  const covered = new Set<string>();
  const chosen: Case[] = [];
  for (let steps = budget; left.length > 0 && steps > 0; ) {
    const best = takeBest(left, covered);
    const taken = best.each.steps.length > steps ? prefixOf(best.each, steps) : best.each;
    chosen.push(taken);
    for (const item of best.items) covered.add(item);
    steps -= taken.steps.length;
  }
  return chosen;
}

interface Candidate {
  readonly each: Case;
  readonly items: Set<string>;
  /** New items per step; what was not looked at again may by now be worth less, never more. */
  worth: number;
}

function takeBest(left: Candidate[], covered: ReadonlySet<string>): Candidate {
  for (;;) {
    let best = 0;
    for (let index = 1; index < left.length; index++)
      if (left[index]!.worth > left[best]!.worth) best = index;
    const candidate = left[best]!;
    for (const item of candidate.items) if (covered.has(item)) candidate.items.delete(item);
    const worth = candidate.items.size / candidate.each.steps.length;
    if (worth === candidate.worth) return left.splice(best, 1)[0]!;
    candidate.worth = worth;
  }
}
