/** Bytes of a call as strace has printed them. */
export interface StraceBytes {
  /** As many as were printed. */
  bytes: Uint8Array;
  /** `"..."...`: there were more. */
  cut: boolean;
}

const SIMPLE: Readonly<Record<string, number>> = { n: 10, t: 9, r: 13, f: 12, v: 11, '\\': 92, '"': 34 };
const ESCAPE = /\\(?:x([0-9a-f]{2})|([0-7]{1,3})|([ntrfv\\"]))|([^\\"])/y;

/**
 * A text of C, as strace prints bytes with and without `-x`, `-xx`.
 * @param text what begins with the opening quote
 * @param most bytes that are taken
 * @returns the bytes and what follows the closing quote, or `undefined` when it is no text
 */
export function straceText(text: string, most: number): (StraceBytes & { after: number }) | undefined {
  if (text[0] !== '"') return undefined;
  const out: number[] = [];
  let at = 1;
  while (text[at] !== '"') {
    if (out.length >= most) return { bytes: Uint8Array.from(out), cut: true, after: at };
    ESCAPE.lastIndex = at;
    const match = ESCAPE.exec(text);
    if (match === null) return undefined;
    const [whole, hex, octal, simple, plain] = match;
    out.push(byteOf(hex, octal, simple, plain) & 0xff);
    at += whole.length;
  }
  const cut = text.startsWith('...', at + 1);
  return { bytes: Uint8Array.from(out), cut, after: at + 1 + (cut ? 3 : 0) };
}

function byteOf(hex?: string, octal?: string, simple?: string, plain = '\0'): number {
  if (hex !== undefined) return Number.parseInt(hex, 16);
  if (octal !== undefined) return Number.parseInt(octal, 8);
  return simple === undefined ? plain.charCodeAt(0) : SIMPLE[simple]!;
}

/** What a call has moved over a socket: bytes of its buffers in their order, and descriptors with them. */
export interface StraceTransfer extends StraceBytes {
  fds: number;
}

/** Buffers of one call that are looked at. */
const MAX_BUFFERS = 64;

/**
 * The data of `recvmsg`, `sendmsg` and their like: `msg_iov=[{iov_base="...", iov_len=12}], ...`, or of `read`
 * and `write`: `, "...", 12`.
 * @param most bytes that are taken
 */
export function straceTransfer(rest: string, most: number): StraceTransfer | undefined {
  const plain = /^, "/.test(rest) ? straceText(rest.slice(2), most) : undefined;
  if (plain !== undefined) return { bytes: plain.bytes, cut: plain.cut, fds: 0 };
  const parts: Uint8Array[] = [];
  let room = most;
  let cut = false;
  let at = rest.indexOf('iov_base="');
  for (let n = 0; at >= 0 && n < MAX_BUFFERS && !cut; n++) {
    const text = straceText(rest.slice(at + 9), room);
    if (text === undefined) return undefined;
    parts.push(text.bytes);
    room -= text.bytes.length;
    cut = text.cut;
    at = rest.indexOf('iov_base="', at + 9 + text.after);
  }
  return parts.length === 0 ? undefined : { bytes: Buffer.concat(parts), cut, fds: descriptors(rest) };
}

/** Descriptors, with what they are (`-y`). */
const LIST = /cmsg_data=\[((?:\d+(?:<(?:[^<>]|<[^<>]*>)*>)?(?:\(deleted\))?(?:, )?)*)/;

/** Descriptors in the control data. */
function descriptors(rest: string): number {
  const at = rest.lastIndexOf('SCM_RIGHTS');
  const list = at < 0 ? undefined : LIST.exec(rest.slice(at, at + 4200))?.[1];
  return list?.match(/\d+(?:<(?:[^<>]|<[^<>]*>)*>)?/g)?.length ?? 0;
}
