import { crc32 } from 'node:zlib';
import { CHECKSUM_WASM } from './checksum-wasm.js';

/** Bytes that are mixed in together: a word for each lane. */
const BLOCK = 64;
const LANES = BLOCK / 4;
const PRIME = 0x9e3779b1;
/** Bytes that the WebAssembly kernel is given at once: they stay in the processor's caches. */
const PIECE = 1 << 15;

/** Mixes whole blocks into the lanes. */
type Mix = (lanes: Int32Array, bytes: Uint8Array) => void;

/**
 * A checksum of a stream that costs less than its transport: sixteen lanes of 32 bits, each of which takes
 * every sixteenth word (xor, rotate by 13, multiply, as the hashes of the xxHash family do), and at the end a
 * CRC-32 over the lanes, the bytes that make no block, and the length. A step loses nothing of a lane, so a
 * single change anywhere always shows; several ones cancel out once in 2^32 times.
 */
export class Checksum {
  readonly #lanes = Int32Array.from({ length: LANES }, (_, lane) => Math.imul(lane + 1, PRIME));
  readonly #rest = new Uint8Array(BLOCK);
  readonly #mix: Mix;
  #length = 0;

  /** @param mix what mixes blocks in; the default is the fastest that runs here */
  constructor(mix: Mix = fastestMix()) {
    this.#mix = mix;
  }

  /** Takes the next bytes; how a stream is cut into calls is of no meaning. */
  update(bytes: Uint8Array): void {
    const held = this.#length % BLOCK;
    this.#length += bytes.length;
    let at = 0;
    if (held > 0) {
      at = Math.min(BLOCK - held, bytes.length);
      this.#rest.set(bytes.subarray(0, at), held);
      if (held + at < BLOCK) return;
      this.#mix(this.#lanes, this.#rest);
    }
    const whole = bytes.length - ((bytes.length - at) % BLOCK);
    if (whole > at) this.#mix(this.#lanes, bytes.subarray(at, whole));
    this.#rest.set(bytes.subarray(whole));
  }

  /** The checksum of all bytes so far, 32 bits. */
  get value(): number {
    const end = new Uint8Array(BLOCK + 8);
    const view = new DataView(end.buffer);
    for (const [lane, value] of this.#lanes.entries()) view.setInt32(4 * lane, value, true);
    view.setBigUint64(BLOCK, BigInt(this.#length), true);
    return crc32(this.#rest.subarray(0, this.#length % BLOCK), crc32(end));
  }
}

/** The checksum of bytes that are all there. */
export function checksumOf(bytes: Uint8Array): number {
  const checksum = new Checksum();
  checksum.update(bytes);
  return checksum.value;
}

/** The twin of `checksum.wat`. */
export const plainMix: Mix = (lanes, bytes) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length; at += BLOCK) {
    for (let lane = 0; lane < LANES; lane++) {
      const mixed = lanes[lane]! ^ view.getInt32(at + 4 * lane, true);
      lanes[lane] = Math.imul((mixed << 13) | (mixed >>> 19), PRIME);
    }
  }
};

/** The parts of the WebAssembly interface that are used here; `@types/node` 20 has no types for it. */
interface Wasm {
  validate(bytes: Uint8Array): boolean;
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: unknown };
}

interface Exports {
  memory: { buffer: ArrayBuffer };
  mix(from: number, end: number): void;
}

/** The kernel in WebAssembly, or undefined where it cannot run. */
export function wasmMix(): Mix | undefined {
  const wasm = (globalThis as { WebAssembly?: Wasm }).WebAssembly;
  const code = Buffer.from(CHECKSUM_WASM, 'base64');
  if (wasm === undefined || !wasm.validate(code)) return undefined;
  const { memory, mix } = new wasm.Instance(new wasm.Module(code)).exports as Exports;
  const state = new Int32Array(memory.buffer, 0, LANES);
  const place = new Uint8Array(memory.buffer, BLOCK, PIECE);
  return (lanes, bytes) => {
    state.set(lanes);
    for (let at = 0; at < bytes.length; at += PIECE) {
      const piece = bytes.subarray(at, at + PIECE);
      place.set(piece);
      mix(BLOCK, BLOCK + piece.length);
    }
    lanes.set(state);
  };
}

let fastest: Mix | undefined;

function fastestMix(): Mix {
  fastest ??= wasmMix() ?? plainMix;
  return fastest;
}
