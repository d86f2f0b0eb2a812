import type { BitmapKernel, BitmapWords } from './bitmap-kernel.js';
import { BITMAP_WASM } from './bitmap-wasm.js';
import { wholeBlocks } from './plain-bitmap-kernel.js';

/** The parts of the WebAssembly interface that are used here; `@types/node` 20 has no types for it. */
interface Wasm {
  validate(bytes: Uint8Array): boolean;
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: unknown };
  Memory: new (limits: { initial: number; maximum: number; shared: boolean }) => Memory;
}

interface Memory {
  readonly buffer: SharedArrayBuffer;
  grow(pages: number): number;
}

interface Exports {
  count(from: number, end: number): number;
  join(into: number, from: number, bytes: number, clear: number): number;
  remove(from: number, mask: number, bytes: number): number;
  skip(from: number, end: number, value: number): number;
}

const WASM_PAGE = 65536;
/** Most pages of the memory, as `bitmap.wat` has it: 2 GiB, bitmaps of 64 TiB of guest RAM. */
const MOST_PAGES = 32768;
/** Address 0 is left out. */
const FIRST = 64;

/**
 * The kernel in WebAssembly. All bitmaps lie in one memory, so that two of them can meet without a copy.
 * The memory is of the shared kind because its buffers stay valid when it grows. A bitmap that nobody
 * refers to any more gives its place to the next one of its size.
 */
export class WasmBitmapKernel implements BitmapKernel {
  readonly #exports: Exports;
  readonly #memory: Memory;
  #end = FIRST;
  /** Places that are free again, by their size in bytes. */
  readonly #free = new Map<number, number[]>();
  readonly #dropped = new FinalizationRegistry<{ at: number; size: number }>(({ at, size }) => {
    const places = this.#free.get(size);
    if (places === undefined) this.#free.set(size, [at]);
    else places.push(at);
  });

  /** Makes a kernel, or returns `undefined` where WebAssembly or its shared memory is missing or switched off. */
  static create(): WasmBitmapKernel | undefined {
    const wasm = (globalThis as { WebAssembly?: Wasm }).WebAssembly;
    const bytes = Buffer.from(BITMAP_WASM, 'base64');
    if (wasm === undefined || !wasm.validate(bytes)) return undefined;
    try {
      const memory = new wasm.Memory({ initial: 1, maximum: MOST_PAGES, shared: true });
      const { exports } = new wasm.Instance(new wasm.Module(bytes), { bitmaps: { memory } });
      return new WasmBitmapKernel(memory, exports as Exports);
    } catch (error) {
      // A process with a limit on its address space may not get the reservation.
      if (error instanceof RangeError) return undefined;
      throw error;
    }
  }

  private constructor(memory: Memory, exports: Exports) {
    this.#memory = memory;
    this.#exports = exports;
  }

  allocate(words: number): BitmapWords {
    const length = wholeBlocks(words);
    const size = length * 4;
    const reused = this.#free.get(size)?.pop();
    const at = reused ?? this.#place(size);
    const out = new Int32Array(this.#memory.buffer, at, length);
    if (reused !== undefined) out.fill(0);
    this.#dropped.register(out, { at, size });
    return out;
  }

  count(words: BitmapWords): number {
    return this.#exports.count(words.byteOffset, words.byteOffset + words.byteLength) >>> 0;
  }

  join(into: BitmapWords, from: BitmapWords): number {
    return this.#exports.join(into.byteOffset, from.byteOffset, from.byteLength, 0) >>> 0;
  }

  move(into: BitmapWords, from: BitmapWords): number {
    return this.#exports.join(into.byteOffset, from.byteOffset, from.byteLength, 1) >>> 0;
  }

  remove(from: BitmapWords, mask: BitmapWords): number {
    return this.#exports.remove(from.byteOffset, mask.byteOffset, mask.byteLength) >>> 0;
  }

  skip(words: BitmapWords, word: number, value: 0 | -1): number {
    const { byteOffset, byteLength } = words;
    return (this.#exports.skip(byteOffset + word * 4, byteOffset + byteLength, value) - byteOffset) >>> 2;
  }

  #place(size: number): number {
    const at = this.#end;
    const missing = at + size - this.#memory.buffer.byteLength;
    if (missing > 0) this.#memory.grow(Math.ceil(missing / WASM_PAGE));
    this.#end = at + size;
    return at;
  }
}
