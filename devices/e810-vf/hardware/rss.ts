import { VIRTCHNL_LIMITS, VIRTCHNL_RSS_ALG } from 'stopcopy/uapi';
import type { PfState } from '../vf-state.js';
import { ipHeaderLength, networkHeaderOf, type PacketType } from './packet-type.js';

/** Longest input of the hash: two IPv6 addresses and two ports. */
const INPUT = 36;

/** Receive side scaling: which queue takes a frame. */
export class Rss {
  /** The key that the table was made for. */
  readonly #key = new Uint8Array(VIRTCHNL_LIMITS.rssKeyBytes);
  /** What a byte at a place of the input adds to the hash: 256 numbers a place. */
  readonly #table = new Uint32Array(INPUT * 256);
  readonly #input = new Uint8Array(INPUT);
  /** Hash of the frame that `queueOf` has seen last; 0 when such frames are not hashed. */
  hash = 0;

  /** The queue of a frame, by hash and lookup table. */
  queueOf({ rss }: PfState, frame: Uint8Array, type: PacketType): number {
    const hashed = type.hash === null || (rss.hashcfg & type.hash) !== 0n;
    this.hash = hashed ? this.#toeplitz(rss.key, this.#gather(frame, type, rss.hfunc)) : 0;
    return rss.lut[this.hash % rss.lut.length]!;
  }

  /** Gathers what is hashed. Returns how many bytes. */
  #gather(frame: Uint8Array, type: PacketType, hfunc: number): number {
    const at = type.addresses === 12 ? 0 : networkHeaderOf(frame);
    const from = at + type.addressesAt;
    let length = copy(frame, from, type.addresses, this.#input, 0);
    if (type.ports) length = copy(frame, at + ipHeaderLength(frame, at, type), 4, this.#input, length);
    if (hfunc === VIRTCHNL_RSS_ALG.TOEPLITZ_SYMMETRIC) {
      this.#fold(0, type.addresses);
      if (type.ports) this.#fold(type.addresses, 4);
    }
    return length;
  }

  /** Makes both directions of a flow equal: source and destination are combined, in both places. */
  #fold(at: number, length: number): void {
    const half = length / 2;
    for (let index = at; index < at + half; index++) {
      this.#input[index]! ^= this.#input[index + half]!;
      this.#input[index + half] = this.#input[index]!;
    }
  }

  #toeplitz(key: Uint8Array, length: number): number {
    if (!isEqual(key, this.#key)) this.#learn(key);
    let hash = 0;
    for (let at = 0; at < length; at++) hash ^= this.#table[at * 256 + this.#input[at]!]!;
    return hash >>> 0;
  }

  /** Fills the table: each bit of the input adds the 32 bits of the key that begin at the bit's own place. */
  #learn(key: Uint8Array): void {
    this.#key.fill(0);
    this.#key.set(key.subarray(0, this.#key.length));
    for (let at = 0; at < INPUT; at++)
      for (let byte = 0; byte < 256; byte++) {
        let sum = 0;
        for (let bit = 0; bit < 8; bit++) if (byte & (0x80 >> bit)) sum ^= window(this.#key, at, bit);
        this.#table[at * 256 + byte] = sum;
      }
  }
}

/** 32 bits of the key from a bit on. */
function window(key: Uint8Array, at: number, bit: number): number {
  const word = (key[at]! << 24) | (key[at + 1]! << 16) | (key[at + 2]! << 8) | key[at + 3]!;
  return (word << bit) | (key[at + 4]! >> (8 - bit));
}

function copy(from: Uint8Array, at: number, length: number, into: Uint8Array, place: number): number {
  for (let index = 0; index < length; index++) into[place + index] = from[at + index]!;
  return place + length;
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  for (let at = 0; at < other.length; at++) if (one[at] !== other[at]) return false;
  return true;
}
