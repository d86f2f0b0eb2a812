import { PlainBitmapKernel } from './plain-bitmap-kernel.js';
import { WasmBitmapKernel } from './wasm-bitmap-kernel.js';

/** A bitmap as a kernel holds it: bit k is bit k mod 32 of word k div 32. */
export type BitmapWords = Int32Array<ArrayBufferLike>;

/**
 * What is done with whole bitmaps. Two kernels with the same behaviour: `WasmBitmapKernel`, which is
 * WebAssembly (`bitmap.wat`), and `PlainBitmapKernel` in TypeScript.
 *
 * Words come from `allocate` of the same kernel, or are parts of such that begin at a multiple of
 * `BLOCK_WORDS` and are a multiple of it long (for `remove`: an even number). Lengths of two are equal.
 */
export interface BitmapKernel {
  /** A bitmap of zeros of at least so many words, rounded up to `BLOCK_WORDS`. @throws RangeError out of memory */
  allocate(words: number): BitmapWords;
  /** Number of one bits. */
  count(words: BitmapWords): number;
  /** Ors `from` into `into`; returns how many bits are new there. */
  join(into: BitmapWords, from: BitmapWords): number;
  /** As `join`, and clears `from`. */
  move(into: BitmapWords, from: BitmapWords): number;
  /** Clears in `from` the bits that `mask` has; returns how many of them were set. */
  remove(from: BitmapWords, mask: BitmapWords): number;
  /** Index of the first word from `word` on that is not `value`; the length when there is none. */
  skip(words: BitmapWords, word: number, value: 0 | -1): number;
}

let chosen: BitmapKernel | undefined;

/** The fastest kernel that runs here. */
export function bitmapKernel(): BitmapKernel {
  chosen ??= WasmBitmapKernel.create() ?? new PlainBitmapKernel();
  return chosen;
}
