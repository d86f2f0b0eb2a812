import {
  isTargetPageSize,
  STREAM_COMMANDS,
  type StreamCommand,
  streamCommand,
  TARGET_PAGE_SIZES,
} from '../uapi/qemu-stream.js';
import { type Cursor, latin1, type Steps, u32At } from './cursor.js';
import { hex } from './error.js';

/** A command of source to destination. */
export type CommandItem = { kind: 'command' } & (
  | { name: PlainCommand }
  | { name: 'PING'; value: number }
  /** `pageSizes`: the sum of the page sizes of all RAM blocks. Both are absent without post-copy of RAM. */
  | { name: 'POSTCOPY_ADVISE'; pageSizes?: bigint; targetPageSize?: number }
  | { name: 'POSTCOPY_RAM_DISCARD'; block: string; ranges: DiscardRange[] }
  /** The items up to `package-end` stand in `size` bytes of nested stream. */
  | { name: 'PACKAGED'; size: number }
  | { name: 'RECV_BITMAP'; block: string }
);

type PlainCommand =
  | 'OPEN_RETURN_PATH'
  | 'POSTCOPY_LISTEN'
  | 'POSTCOPY_RUN'
  | 'ENABLE_COLO'
  | 'POSTCOPY_RESUME'
  | 'SWITCHOVER_START';

/** Pages that the destination is to forget: first byte and length in the block. */
export interface DiscardRange {
  start: bigint;
  length: bigint;
}

/** Reads a command, from behind its first byte. */
export function* readCommand(c: Cursor): Steps<CommandItem> {
  const at = c.offset;
  yield* c.need(4, 'a command');
  const number = yield* c.u16('a command');
  const name = streamCommand(number);
  if (name === undefined) c.fail('a command from 0x01 to 0x0b', hex(number), at);
  const length = yield* c.u16('the length of a command');
  const fixed = STREAM_COMMANDS[name].length;
  if (fixed !== null && length !== fixed)
    c.fail(`a payload of ${fixed} bytes for ${name}`, `${length}`, at + 2);
  yield* c.need(length, `the payload of ${name}`);
  const payload = new Payload(c, name, c.pos + length);
  const item = decode(payload, name);
  if (payload.left !== 0) c.fail(`the end of ${name}`, `${payload.left} bytes more`);
  return item;
}

function decode(p: Payload, name: StreamCommand): CommandItem {
  switch (name) {
    case 'PING':
      return { kind: 'command', name, value: p.u32() };
    case 'PACKAGED':
      return { kind: 'command', name, size: p.u32() };
    case 'POSTCOPY_ADVISE':
      return advice(p);
    case 'RECV_BITMAP':
      return { kind: 'command', name, block: p.counted() };
    case 'POSTCOPY_RAM_DISCARD':
      return discard(p);
    default:
      return { kind: 'command', name };
  }
}

function advice(p: Payload): CommandItem {
  if (p.left === 0) return { kind: 'command', name: 'POSTCOPY_ADVISE' };
  const pageSizes = p.u64();
  const at = p.offset;
  const size = p.u64();
  if (!isTargetPageSize(Number(size))) {
    const { least, most } = TARGET_PAGE_SIZES;
    p.fail(`a target page size from ${least} to ${most}`, `${size}`, at);
  }
  return { kind: 'command', name: 'POSTCOPY_ADVISE', pageSizes, targetPageSize: Number(size) };
}

function discard(p: Payload): CommandItem {
  p.zero('version 0');
  const block = p.counted();
  p.zero('a NUL after the name of the block');
  const ranges: DiscardRange[] = [];
  while (p.left > 0) ranges.push({ start: p.u64(), length: p.u64() });
  return { kind: 'command', name: 'POSTCOPY_RAM_DISCARD', block, ranges };
}

/** The payload of a command, all of it at hand. */
class Payload {
  readonly #cursor: Cursor;
  readonly #name: string;
  readonly #end: number;

  constructor(cursor: Cursor, name: string, end: number) {
    this.#cursor = cursor;
    this.#name = name;
    this.#end = end;
  }

  get left(): number {
    return this.#end - this.#cursor.pos;
  }

  get offset(): number {
    return this.#cursor.offset;
  }

  fail(expected: string, got: string, offset?: number): never {
    this.#cursor.fail(`${expected} in ${this.#name}`, got, offset);
  }

  u8(): number {
    return this.#cursor.bytes[this.#step(1)]!;
  }

  u32(): number {
    return u32At(this.#cursor.bytes, this.#step(4));
  }

  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }

  zero(expected: string): void {
    const at = this.offset;
    const byte = this.u8();
    if (byte !== 0) this.fail(expected, hex(byte), at);
  }

  counted(): string {
    const length = this.u8();
    if (length === 0) this.fail('the name of a RAM block', 'an empty one', this.offset - 1);
    const at = this.#step(length);
    return latin1(this.#cursor.bytes, at, at + length);
  }

  #step(size: number): number {
    if (size > this.left) this.fail(`${size} more bytes`, `the end of its payload after ${this.left}`);
    this.#cursor.pos += size;
    return this.#cursor.pos - size;
  }
}
