import type { Model, Property } from '../model.js';
import type { Path } from '../result.js';
import { replay } from './replay.js';

/**
 * The path without what it does not need: no part of it can be left out any more, be it one action or more in
 * a row. Paths of a breadth-first search are shortest already; others come from runs that were recorded, or
 * that were put together by hand.
 * @throws RangeError when the path does not show what it is said to
 */
export function shrink(model: Model, property: Property, path: Path): Path {
  const { problem } = replay(model, property, path);
  if (problem !== null) throw new RangeError(problem);
  let shortest = path;
  for (let length = path.actions.length >> 1; length >= 1; ) {
    const shorter = without(model, property, shortest, length);
    if (shorter !== null) shortest = shorter;
    else length = length === 1 ? 0 : length >> 1;
  }
  return shortest;
}

/** The path without some `length` actions in a row, or null when all are needed. */
function without(model: Model, property: Property, path: Path, length: number): Path | null {
  for (let at = path.actions.length - length; at >= 0; at--) {
    const actions = [...path.actions.slice(0, at), ...path.actions.slice(at + length)];
    const shorter = { ...path, actions, loop: loopWithout(path.loop, at, length) };
    if (replay(model, property, shorter).problem === null) return shorter;
  }
  return null;
}

/** Where the cycle begins when `length` actions from `at` on are left out. */
function loopWithout(loop: number | null, at: number, length: number): number | null {
  if (loop === null || at >= loop) return loop;
  return Math.max(at, loop - length);
}
