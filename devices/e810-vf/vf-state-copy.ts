import type { VfState } from './vf-state.js';

/** A copy that shares nothing with the original. */
export function copyOfVfState(state: VfState): VfState {
  return structuredClone(state);
}

/**
 * Gives `into` every value of `from`, in place: whoever holds the state, or a queue of it, sees the new one.
 * Nothing of `from` is shared afterwards.
 */
export function assignVfState(into: VfState, from: VfState): void {
  assignObject(into, copyOfVfState(from));
}

function assignObject(into: object, from: object): void {
  const target = into as Record<string, unknown>;
  for (const [name, value] of Object.entries(from)) target[name] = merged(target[name], value);
}

/** The old object with the new content where both are of one kind, else the new one. */
function merged(old: unknown, value: unknown): unknown {
  if (old instanceof Set && value instanceof Set) {
    old.clear();
    for (const each of value) old.add(each);
    return old;
  }
  for (const kind of [Uint32Array, Uint8Array])
    if (old instanceof kind && value instanceof kind && old.length === value.length) {
      old.set(value);
      return old;
    }
  if (Array.isArray(old) && Array.isArray(value)) {
    const elements = value.map((each, index) => merged(old[index], each));
    old.splice(0, old.length, ...elements);
    return old;
  }
  if (!isPlain(old) || !isPlain(value)) return value;
  assignObject(old, value);
  return old;
}

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
