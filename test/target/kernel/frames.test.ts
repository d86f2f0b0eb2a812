import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Frames, frame } from '../../../src/target/kernel/frames.js';

test('messages come out as they went in, however their bytes arrive', () => {
  const message = fc.record({
    call: fc.string(),
    offset: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    bytes: fc.uint8Array({ maxLength: 300 }),
    pointed: fc.array(fc.record({ at: fc.nat(), bytes: fc.uint8Array({ maxLength: 20 }) }), { maxLength: 3 }),
  });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), fc.integer({ min: 1, max: 90 }), (messages, size) => {
      const all = Buffer.concat(messages.map(frame));
      const frames = new Frames();
      const out: unknown[] = [];
      const block = new Uint8Array(size);
      for (let at = 0; at < all.length; at += size) {
        const part = all.subarray(at, at + size);
        // Whoever reads uses one block again and again.
        block.set(part);
        out.push(...frames.take(block.subarray(0, part.length)));
      }
      expect(out).toEqual(messages);
    }),
  );
});
