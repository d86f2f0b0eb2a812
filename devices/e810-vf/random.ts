/** Numbers that look random and are the same for the same seed. */

/** Mixes numbers into one of 32 bits: equal inputs give equal outputs, near ones give far ones. */
export function mix(...numbers: readonly number[]): number {
  let hash = 0x9e3779b9;
  for (const number of numbers) {
    hash = Math.imul(hash ^ number, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return hash >>> 0;
}

/** The state after this one of a generator (xorshift); a state of 0, which it cannot leave, counts as 1. */
export function nextRandom(state: number): number {
  let next = state | 0 || 1;
  next ^= next << 13;
  next ^= next >>> 17;
  next ^= next << 5;
  return next >>> 0;
}
