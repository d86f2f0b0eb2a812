import type { BitmapKernel, BitmapWords } from './bitmap-kernel.js';

/** Words of a bitmap come in multiples of this: 64 bytes. */
export const BLOCK_WORDS = 16;

/** Number of words that a kernel allocates for so many. */
export function wholeBlocks(words: number): number {
  return Math.max(1, Math.ceil(words / BLOCK_WORDS)) * BLOCK_WORDS;
}

/** The kernel in plain TypeScript: the reference for `bitmap.wat`, and its stand-in without WebAssembly. */
export class PlainBitmapKernel implements BitmapKernel {
  allocate(words: number): BitmapWords {
    return new Int32Array(wholeBlocks(words));
  }

  count(words: BitmapWords): number {
    let sum = 0;
    for (let at = 0; at < words.length; at++) {
      const word = words[at]!;
      if (word !== 0) sum += ones(word);
    }
    return sum;
  }

  join(into: BitmapWords, from: BitmapWords): number {
    let sum = 0;
    for (let at = 0; at < from.length; at++) {
      const word = from[at]!;
      if (word === 0) continue;
      const before = into[at]!;
      into[at] = before | word;
      sum += ones(word & ~before);
    }
    return sum;
  }

  move(into: BitmapWords, from: BitmapWords): number {
    const sum = this.join(into, from);
    from.fill(0);
    return sum;
  }

  remove(from: BitmapWords, mask: BitmapWords): number {
    let sum = 0;
    for (let at = 0; at < mask.length; at++) {
      const word = mask[at]!;
      if (word === 0) continue;
      const before = from[at]!;
      from[at] = before & ~word;
      sum += ones(word & before);
    }
    return sum;
  }

  skip(words: BitmapWords, word: number, value: 0 | -1): number {
    let at = word;
    while (at < words.length && words[at] === value) at++;
    return at;
  }
}

/** Number of one bits in a 32-bit word: sums of 2, 4 and 8 bits side by side, then their sum by one product. */
function ones(word: number): number {
  let sum = word - ((word >>> 1) & 0x55555555);
  sum = (sum & 0x33333333) + ((sum >>> 2) & 0x33333333);
  return Math.imul((sum + (sum >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
