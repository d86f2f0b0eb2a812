import { keyOf, type ModelState } from '../interpret.js';
import type { Model, Property } from '../model.js';
import type { Path } from '../result.js';
import { replay, replayOn } from './replay.js';

/**
 * The path without what it does not need: no single action of it can be left out any more. Paths of a
 * breadth-first search are shortest already; others come from runs that were recorded, that were put together
 * by hand, or from walks.
 * @throws RangeError when the path does not show what it is said to
 */
export function shrink(model: Model, property: Property, path: Path): Path {
  const shrinking = new Shrinking(model, property, path);
  shrinking.straighten();
  for (let length = shrinking.length >> 1; length > 1; length >>= 1) shrinking.sweep(length);
  while (shrinking.sweep(1));
  return shrinking.path;
}

/** A path that gets shorter, with the states on its way. */
class Shrinking {
  #states: readonly ModelState[];

  constructor(
    readonly model: Model,
    readonly property: Property,
    public path: Path,
  ) {
    const { states, problem } = replay(model, property, path);
    if (problem !== null) throw new RangeError(`this run does not show ${property.id}: ${problem}`);
    this.#states = states;
  }

  get length(): number {
    return this.path.actions.length;
  }

  /** Leaves out, before the cycle if there is one, each part that comes back to the state in which it began. */
  straighten(): void {
    const keys = this.#states.map((state) => keyOf(this.model, state));
    const lastAt = new Map(keys.slice(0, (this.path.loop ?? this.length) + 1).map((key, at) => [key, at]));
    let removed = 0;
    for (let at = 0; at < keys.length; at++) {
      const again = lastAt.get(keys[at]!) ?? at;
      if (again <= at || !this.#without(at - removed, again - at)) continue;
      removed += again - at;
      at = again;
    }
  }

  /** Tries, from the end on, to leave out `length` actions in a row; whether that went somewhere. */
  sweep(length: number): boolean {
    const before = this.length;
    for (let at = before - length; at >= 0; at = Math.min(at - 1, this.length - length))
      this.#without(at, length);
    return this.length < before;
  }

  #without(at: number, length: number): boolean {
    const { path } = this;
    const actions = [...path.actions.slice(0, at), ...path.actions.slice(at + length)];
    const shorter = { ...path, actions, loop: loopWithout(path.loop, at, length) };
    const { states, problem } = replayOn(this.model, this.property, shorter, this.#states.slice(0, at + 1));
    if (problem !== null) return false;
    this.path = shorter;
    this.#states = states;
    return true;
  }
}

/** Where the cycle begins when `length` actions from `at` on are left out. */
function loopWithout(loop: number | null, at: number, length: number): number | null {
  if (loop === null || at >= loop) return loop;
  return Math.max(at, loop - length);
}
