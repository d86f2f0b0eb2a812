import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeVfioUserHeader, encodeVfioUserMessage } from '../../src/uapi/vfio-user.js';
import { FrameError, FrameParser, type VfioUserMessage } from '../../src/vfio-user/index.js';

const MOST = 200;

const message = fc
  .record({
    msgId: fc.nat(0xffff),
    command: fc.nat(0xffff),
    type: fc.constantFrom('command' as const, 'reply' as const),
    noReply: fc.boolean(),
    failed: fc.boolean(),
    errno: fc.nat(4095),
    payload: fc.uint8Array({ maxLength: MOST - 16 }),
  })
  .map(({ payload, ...head }) => encodeVfioUserMessage(head, payload));

/** Gives bytes in pieces of these sizes, again and again. */
function inPieces(bytes: Uint8Array, sizes: readonly number[], take: (piece: Uint8Array) => void): void {
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length]!;
    // The buffer of a socket is used again.
    const piece = bytes.slice(at, at + size);
    take(piece);
    piece.fill(0xee);
    at += size;
  }
}

describe('messages come out whole', () => {
  test('however they come in', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 8 }), sizes, (messages, pieces) => {
        const parser = new FrameParser(MOST);
        const out: VfioUserMessage[] = [];
        inPieces(Buffer.concat(messages), pieces, (piece) => parser.push(piece, (it) => out.push(it)));
        expect(parser.pending).toBe(0);
        expect(out.map(({ head }) => head)).toEqual(messages.map(decodeVfioUserHeader));
        expect(out.map(({ payload }) => Buffer.from(payload).toString('hex'))).toEqual(
          messages.map((bytes) => Buffer.from(bytes.subarray(16)).toString('hex')),
        );
      }),
    );
  });

  test('and what is held is never more than one message', () => {
    const parser = new FrameParser(MOST);
    const head = { msgId: 1, command: 9, type: 'command', noReply: false, failed: false, errno: 0 } as const;
    const bytes = encodeVfioUserMessage(head, new Uint8Array(MOST - 16));
    parser.push(bytes.subarray(0, 150), () => expect.unreachable());
    expect(parser.pending).toBe(150);
    expect(() => parser.push(bytes.subarray(150), () => {})).not.toThrow();
    expect(parser.pending).toBe(0);
  });
});

test.each([
  ['a size below the header', [0x34, 0x12, 9, 0, 15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
  ['a size of 0', [0x34, 0x12, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
  ['a size above the limit', [0x34, 0x12, 9, 0, MOST + 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
  ['a size of 4 GiB', [0x34, 0x12, 9, 0, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0]],
  ['a type that there is not', [0x34, 0x12, 9, 0, 16, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]],
])('%s is refused at once, after what came before', (_name, header) => {
  const good = encodeVfioUserMessage({
    ...{ msgId: 7, command: 4, type: 'command', noReply: false, failed: false, errno: 0 },
  });
  const parser = new FrameParser(MOST);
  const out: number[] = [];
  const bytes = Buffer.concat([good, Uint8Array.from(header)]);
  expect(() => parser.push(bytes, ({ head }) => out.push(head.msgId))).toThrow(FrameError);
  expect(out).toEqual([7]);
  try {
    new FrameParser(MOST).push(Uint8Array.from(header), () => {});
  } catch (error) {
    expect(error).toMatchObject({ msgId: 0x1234, command: 9 });
  }
});
