import { STREAM_BYTES, STREAM_COMMANDS, streamCommand } from '../uapi/qemu-stream.js';
import type { Context } from './context.js';
import { type Steps, u32At } from './cursor.js';
import { StreamError } from './error.js';

/**
 * Finds the end of a body whose length nothing tells: the section's footer, with the start of a section,
 * a command or the end of the stream behind it. Hands the body out on the way and stops before `mark`
 * and the footer.
 * @param mark bytes that stand directly before the footer
 */
export function* bodyUpToFooter(x: Context, id: number, mark: readonly number[], what: string): Steps {
  const { cursor: c, sink } = x;
  const pattern = Uint8Array.from([...mark, STREAM_BYTES.FOOTER, id >>> 24, id >>> 16, id >>> 8, id]);
  const first = pattern[0]!;
  const give = (to: number) => {
    if (to > c.pos) sink.data?.(c.bytes.subarray(c.pos, to));
    c.pos = to;
  };
  if (x.footers === false) {
    c.fail(`a vmdescription, which tells the length of ${what}`, 'neither that nor footers');
  }
  for (let at = c.pos; ; ) {
    const stop = c.pos + c.available;
    at = c.bytes.indexOf(first, at);
    const found = at >= 0 && at < stop ? isEnd(x, pattern, at, stop) : NOWHERE;
    if (found === NO) {
      at++;
      continue;
    }
    give(found === NOWHERE ? stop : at);
    if (found === YES) return;
    if (!(yield* c.more())) {
      // What is cut off behind a whole footer is told by whoever reads on.
      if (found === NOWHERE) noFooter(x, id, what);
      if (c.available >= pattern.length) return;
      // What may be the first bytes of the footer is no body.
      c.pos += c.available;
      noFooter(x, id, what);
    }
    at = c.pos;
  }
}

/** What is known about a place; UNDECIDED needs more bytes. */
const [YES, NO, UNDECIDED, NOWHERE] = ['yes', 'no', 'undecided', 'nowhere'] as const;
type Found = typeof YES | typeof NO | typeof UNDECIDED;

function noFooter(x: Context, id: number, what: string): never {
  const { cursor: c } = x;
  const footer = `the footer of section ${id} after ${what}`;
  if (c.offset === c.limit) c.fail(footer, 'the end of the package');
  throw new StreamError(c.offset, footer, undefined, c.where);
}

function isEnd(x: Context, pattern: Uint8Array, at: number, end: number): Found {
  const { bytes } = x.cursor;
  const length = Math.min(pattern.length, end - at);
  for (let index = 0; index < length; index++) {
    if (bytes[at + index] !== pattern[index]) return NO;
  }
  return length < pattern.length ? UNDECIDED : isNext(x, bytes, at + length, end);
}

/** Whether something begins here that can follow a section. */
function isNext(x: Context, bytes: Uint8Array, at: number, end: number): Found {
  const left = end - at;
  if (left === 0) return UNDECIDED;
  const since = (needed: number, test: () => boolean): Found => {
    if (left < needed) return UNDECIDED;
    return test() ? YES : NO;
  };
  switch (bytes[at]) {
    case STREAM_BYTES.EOF:
      if (left > 1 && bytes[at + 1] !== STREAM_BYTES.VMDESCRIPTION) return NO;
      return since(7, () => bytes[at + 6] === 0x7b);
    case STREAM_BYTES.START:
    case STREAM_BYTES.FULL:
      return left < 6 ? UNDECIDED : isName(bytes, at + 6, end, bytes[at + 5]!);
    case STREAM_BYTES.PART:
    case STREAM_BYTES.END:
      return since(5, () => x.sections.has(u32At(bytes, at + 1)));
    case STREAM_BYTES.COMMAND:
      return since(5, () =>
        isCommand((bytes[at + 1]! << 8) | bytes[at + 2]!, (bytes[at + 3]! << 8) | bytes[at + 4]!),
      );
    default:
      return NO;
  }
}

function isName(bytes: Uint8Array, from: number, end: number, length: number): Found {
  const to = Math.min(end, from + length);
  for (let at = from; at < to; at++) {
    if (bytes[at]! < 0x20 || bytes[at]! > 0x7e) return NO;
  }
  if (length === 0) return NO;
  return to < from + length ? UNDECIDED : YES;
}

function isCommand(number: number, length: number): boolean {
  const name = streamCommand(number);
  if (name === undefined) return false;
  const fixed: number | null = STREAM_COMMANDS[name].length;
  return fixed === null || fixed === length;
}
