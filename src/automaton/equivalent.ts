import type { Mealy } from './mealy.js';

/**
 * Whether two machines answer every word alike, by a walk of their product. Both have the same inputs and
 * outputs, in the same order.
 */
export function equivalent(a: Mealy, b: Mealy): boolean {
  const width = a.inputs.length;
  const seen = new Uint8Array(a.states.length * b.states.length);
  const pairs = [0];
  seen[0] = 1;
  for (const pair of pairs) {
    const ofA = Math.floor(pair / b.states.length) * width;
    const ofB = (pair % b.states.length) * width;
    for (let input = 0; input < width; input++) {
      if (a.output[ofA + input] !== b.output[ofB + input]) return false;
      const after = a.next[ofA + input]! * b.states.length + b.next[ofB + input]!;
      if (seen[after]) continue;
      seen[after] = 1;
      pairs.push(after);
    }
  }
  return true;
}
