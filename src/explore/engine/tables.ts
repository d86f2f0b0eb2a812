import { SEGMENT_BITS, SEGMENT_MASK } from './arena.js';

/**
 * Code of open addressing tables of exact keys, for states of a given width. A table of keys holds the words of
 * states themselves, so that a look-up touches one place; a table of numbers holds where in the arena the
 * words are, beside a few bits of their hash. Names in the code: `w0`, `w1`, … the state, `h` its hash, `table`,
 * `size` (slots), `scale` (size / 2^32), `segs` (segments of the arena).
 */
export interface TableCode {
  /** Words of a slot. */
  readonly width: number;
  /** Comes to a place `p`; runs `found` at the state, `absent` at the free slot that it would take. */
  probe(found: string, absent: string): string;
  /** Puts the state with a number (an expression) into the slot at `p`. */
  put(number: string): string;
}

const each = <T>(words: number, make: (word: number) => T): T[] =>
  Array.from({ length: words }, (_, word) => make(word));

/** Wider states are in tables of numbers: the keys would take more than 24 bytes a state beside the arena. */
const MOST_KEY_WORDS = 2;

export function tableCode(words: number, numberBits: number): TableCode {
  return words <= MOST_KEY_WORDS ? keyTable(words) : numberTable(words, numberBits);
}

/** Word 0 of a state is never 0: that is a free slot. */
function keyTable(words: number): TableCode {
  const equal = each(words, (w) => `table[p+${w}]===w${w}`).join('&&');
  return {
    width: words,
    probe: (found, absent) => `let p=((h>>>0)*scale|0)*${words};
      for(;;){if(table[p]===0){${absent}break;}if(${equal}){${found}break;}p+=${words};if(p===end)p=0;}`,
    put: () => each(words, (w) => `table[p+${w}]=w${w};`).join(''),
  };
}

/** A slot holds the number plus one in its low bits, and the low bits of the hash (the high ones chose it) above. */
export function numberTable(words: number, numberBits: number): TableCode {
  const mask = 2 ** numberBits - 1;
  const equal = each(words, (w) => `S[i+${w}]===w${w}`).join('&&');
  return {
    width: 1,
    probe: (found, absent) => `let p=(h>>>0)*scale|0;
      for(;;){
        const e=table[p];
        if(e===0){${absent}break;}
        if(((e^h<<${numberBits})&${~mask})===0){
          const q=(e&${mask})-1,S=segs[q>>>${SEGMENT_BITS}],i=(q&${SEGMENT_MASK})*${words};
          if(${equal}){${found}break;}
        }
        if(++p===end)p=0;
      }`,
    put: (number) => `table[p]=h<<${numberBits}|${number}+1;`,
  };
}

/** Bits for the numbers of as many states as can be in so much memory. */
export function numberBits(memory: number, words: number): number {
  const states = memory / (4 * words + 4);
  return Math.min(31, Math.max(8, Math.ceil(Math.log2(states + 2))));
}

/** Makes `h` of the words. */
export function hashCode(words: number): string {
  const multipliers = [0x9e3779b1, 0x85ebca6b, 0xc2b2ae35, 0x27d4eb2f];
  const mix = each(
    words,
    (w) => `h=Math.imul(h^w${w},${multipliers[w % multipliers.length]! | 0});h^=h>>>15;`,
  );
  return `let h=0;${mix.join('')}h=Math.imul(h,${0x2c1b3c6d});h^=h>>>13;`;
}
