import type { Mealy } from '../../src/automaton/index.js';

/**
 * A word that two machines answer differently, or null: by a walk of their product, input and output by their
 * names. Both have the same inputs.
 */
export function sameAnswers(a: Mealy, b: Mealy): string[] | null {
  const seen = new Set(['0 0']);
  const pairs = [{ a: 0, b: 0, word: [] as string[] }];
  for (const pair of pairs) {
    for (const [ofA, name] of a.inputs.entries()) {
      const ofB = b.inputs.indexOf(name);
      const [atA, atB] = [pair.a * a.inputs.length + ofA, pair.b * b.inputs.length + ofB];
      const word = [...pair.word, name];
      if (ofB < 0 || a.outputs[a.output[atA]!] !== b.outputs[b.output[atB]!]) return word;
      const next = { a: a.next[atA]!, b: b.next[atB]!, word };
      if (seen.has(`${next.a} ${next.b}`)) continue;
      seen.add(`${next.a} ${next.b}`);
      pairs.push(next);
    }
  }
  return null;
}
