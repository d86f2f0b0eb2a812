import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Checksum, checksumOf, plainMix, wasmMix } from '../../src/stream/checksum.js';

const bytes = fc.uint8Array({ maxLength: 2000 });

const inPieces = (whole: Uint8Array, cuts: readonly number[], mix = plainMix): number => {
  const checksum = new Checksum(mix);
  const places = [0, ...cuts.map((cut) => cut % (whole.length + 1)).sort((a, b) => a - b), whole.length];
  for (let index = 1; index < places.length; index++)
    checksum.update(whole.subarray(places[index - 1], places[index]));
  return checksum.value;
};

test('how the bytes are cut is of no meaning, and both kernels agree', () => {
  fc.assert(
    fc.property(bytes, fc.array(fc.nat(), { maxLength: 8 }), (whole, cuts) => {
      const expected = inPieces(whole, []);
      expect(inPieces(whole, cuts)).toBe(expected);
      expect(inPieces(whole, cuts, wasmMix())).toBe(expected);
      expect(checksumOf(whole)).toBe(expected);
    }),
  );
});

test('a change of one byte, and a change of length, always show', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 600 }),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (whole, at, mask) => {
        const changed = Uint8Array.from(whole);
        changed[at % whole.length]! ^= mask;
        expect(checksumOf(changed)).not.toBe(checksumOf(whole));
        expect(checksumOf(Buffer.concat([whole, new Uint8Array(1)]))).not.toBe(checksumOf(whole));
      },
    ),
    { numRuns: 500 },
  );
});

test('two words that change places show', () => {
  const words = Uint8Array.from({ length: 256 }, (_, index) => index);
  const swapped = Uint8Array.from(words);
  swapped.copyWithin(0, 64, 68);
  swapped.set(words.subarray(0, 4), 64);
  expect(checksumOf(swapped)).not.toBe(checksumOf(words));
});

test('large pieces go through the kernel in parts', () => {
  const large = new Uint8Array((1 << 20) + 77).map((_, index) => index * 7);
  expect(inPieces(large, [], wasmMix())).toBe(inPieces(large, [65, 300_000]));
});
