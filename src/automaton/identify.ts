import { type Observed, separatesAfter } from './distinguish.js';
import type { Word } from './mealy.js';

/**
 * State identifiers: for each state some beginnings of words of W, which tell it from every other state
 * that W tells it from. Chosen greedily.
 */
export function identifiers(watched: Observed, characterizing: readonly Word[]): Word[][] {
  const states = watched.machine.states.map((_, state) => state);
  return states.map((state) => {
    const chosen: Word[] = [];
    let others = states.filter((other) => separator(watched, characterizing, state, other) !== null);
    while (others.length > 0) {
      const word = characterizing
        .map((each) => ({ each, found: others.filter((other) => tells(watched, each, state, other)) }))
        .reduce((best, next) => (next.found.length > best.found.length ? next : best));
      const length = Math.max(...word.found.map((other) => separatesAfter(watched, word.each, state, other)));
      chosen.push(word.each.slice(0, length));
      others = others.filter((other) => !word.found.includes(other));
    }
    return chosen;
  });
}

/**
 * Harmonized state identifiers: for each two states that W tells apart, a word that does so is in the
 * identifiers of both. All are beginnings of words of W.
 */
export function harmonizedIdentifiers(watched: Observed, characterizing: readonly Word[]): Word[][] {
  const sets = watched.machine.states.map((): Word[] => []);
  for (const [a, ofA] of sets.entries()) {
    for (const [b, ofB] of sets.entries()) {
      if (b <= a || ofA.some((word) => ofB.includes(word) && tells(watched, word, a, b))) continue;
      const word = separator(watched, characterizing, a, b);
      if (word === null) continue;
      const same = [...ofA, ...ofB].find((each) => each.join() === word.join()) ?? word;
      for (const set of [ofA, ofB]) if (!set.includes(same)) set.push(same);
    }
  }
  return sets;
}

const tells = (watched: Observed, word: Word, a: number, b: number): boolean =>
  separatesAfter(watched, word, a, b) >= 0;

/** The shortest beginning of a word that tells two states apart, or null. */
function separator(watched: Observed, words: readonly Word[], a: number, b: number): Word | null {
  let shortest: Word | null = null;
  for (const word of words) {
    const length = separatesAfter(watched, word, a, b);
    if (length >= 0 && (shortest === null || length < shortest.length)) shortest = word.slice(0, length);
  }
  return shortest;
}
