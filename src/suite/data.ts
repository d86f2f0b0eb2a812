import type { StepOf } from './suite.js';

/** The data of a `write` step. */
export type WriteData = StepOf<'write'>['data'];

/** Which bytes of an image of this length a `write` step takes: from, and behind the last one. */
export function dataRange({ from, to }: WriteData, length: number): { from: number; to: number } {
  const place = (at: number) => Math.max(0, Math.min(length, at < 0 ? length + at : at));
  const start = place(from);
  return { from: start, to: Math.max(start, to === null ? length : place(to)) };
}

/** The bytes that a `write` step writes. */
export function dataBytes(data: WriteData, image: Uint8Array): Uint8Array {
  const { from, to } = dataRange(data, image.length);
  const bytes = new Uint8Array(to - from + (data.extra ?? 0));
  bytes.set(image.subarray(from, to));
  const { flip } = data;
  const at = flip === undefined ? -1 : flip.at < 0 ? to - from + flip.at : flip.at;
  if (flip !== undefined && at >= 0 && at < to - from) bytes[at]! ^= flip.mask;
  return bytes;
}
