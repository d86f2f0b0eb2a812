import { straceCall, straceLine } from '../../src/trace/readers/strace-line.js';
import { straceTransfer } from '../../src/trace/readers/strace-text.js';
import { VHOST_USER_REQUESTS, type VhostUserRequest } from '../../src/uapi/vhost-user.js';

/** The first line of every capture. */
export const CAPTURE_HEAD = '{"schema":"stopcopy-vhost-user-1"}\n';

/** Fields as the little-endian bytes of a payload: numbers are u32, bigints u64. */
export function payloadOf(...fields: (number | bigint)[]): Buffer {
  return Buffer.concat(
    fields.map((field) => {
      const bytes = Buffer.alloc(typeof field === 'bigint' ? 8 : 4);
      if (typeof field === 'bigint') bytes.writeBigUInt64LE(field);
      else bytes.writeUInt32LE(field);
      return bytes;
    }),
  );
}

/** A whole message as bytes. */
export function messageOf(
  request: VhostUserRequest | number,
  flags: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const number = typeof request === 'number' ? request : VHOST_USER_REQUESTS[request];
  return Buffer.concat([payloadOf(number, flags, payload.length), payload]);
}

/** A line of a capture. */
export function captureLine(t: number, dir: 'f2b' | 'b2f', message: Buffer, fds = 0): string {
  return `${JSON.stringify({ t, dir, hex: message.toString('hex'), fds })}\n`;
}

/** The capture that a proxy between the two ends of a straced connection would have written: what descriptor 3 sends and gets. */
export function captureOf(strace: Buffer): Buffer {
  let rest: Buffer = Buffer.alloc(0);
  let out = CAPTURE_HEAD;
  let fds = 0;
  for (const text of strace.toString('utf8').split('\n')) {
    const call = straceCall(straceLine(text)?.call ?? '');
    if (call?.fd !== 3 || call.name === 'close') continue;
    const moved = straceTransfer(call.rest, 8192)!;
    rest = Buffer.concat([rest, moved.bytes]);
    fds += moved.fds;
    if (rest.length < 12 || rest.length < 12 + rest.readUInt32LE(8)) continue;
    out += captureLine(out.length, call.name === 'sendmsg' ? 'f2b' : 'b2f', rest, fds);
    rest = Buffer.alloc(0);
    fds = 0;
  }
  return Buffer.from(`${out}{"t":${out.length},"closed":"front"}\n`);
}
