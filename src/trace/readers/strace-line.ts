import { ERRNO } from '../../uapi/errno.js';
import type { LinePlace } from './line-parser.js';

/** Where a call stands. */
export type At = LinePlace & { t?: number; thread?: number };

/** A line of strace, taken apart as far as every kind of call has it. */
export interface StraceLine {
  thread?: number;
  time?: StraceTime;
  /** The call from its name on. */
  call: string;
}

/** A time as printed: of the day (`-t`, `-tt`), since 1970 (`-ttt`), or since the line before (`-r`). */
export interface StraceTime {
  kind: 'day' | 'epoch' | 'relative';
  /** Microseconds. */
  value: number;
}

const PREFIX =
  /^(?:\[pid +(\d{1,10})\] +|(\d{1,10}) +(?=[\d<+\-\w]))?(?:(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))? +| *(\d{1,12})\.(\d{1,9}) +)?/;
const CALL = /^(?:[a-z_][a-z0-9_]*\(|<\.\.\. [a-z_][a-z0-9_]* resumed>|\+\+\+ |--- )/;
/** Relative times are small; times since 1970 are not. */
const EPOCH = 100_000_000;

/** Takes the prefix off a line; `undefined` when the rest is no call, signal or exit. */
export function straceLine(text: string): StraceLine | undefined {
  const match = PREFIX.exec(text);
  if (match === null) return undefined;
  const call = text.slice(match[0].length);
  if (!CALL.test(call)) return undefined;
  const [, bracketed, plain, hour, minute, second, fraction, seconds, micros] = match;
  const line: StraceLine = { call };
  const thread = bracketed ?? plain;
  if (thread !== undefined) line.thread = Number(thread);
  if (hour !== undefined) {
    const value = ((Number(hour) * 60 + Number(minute)) * 60 + Number(second)) * 1e6 + fractionOf(fraction);
    line.time = { kind: 'day', value };
  } else if (seconds !== undefined) {
    const value = Number(seconds) * 1e6 + fractionOf(micros);
    line.time = { kind: Number(seconds) >= EPOCH ? 'epoch' : 'relative', value };
  }
  return line;
}

function fractionOf(digits: string | undefined): number {
  return digits === undefined ? 0 : Math.round(Number(`0.${digits}`) * 1e6);
}

/** A call that has ended. */
export interface StraceCall {
  name: string;
  /** First argument, where it is a descriptor. */
  fd?: number;
  /** What the descriptor is, with `-y`. */
  path?: string;
  /** Last argument, where it is a plain number. */
  last?: number;
  /** What stands between the first argument and the result. */
  rest: string;
  /** Request of an ioctl. */
  request?: StraceIoctl;
  /** Return value. */
  ret: number;
  /** What the descriptor that was returned is, with `-y`. */
  retPath?: string;
  /** Positive errno, 0 for success. */
  errno: number;
  /** Why KVM_RUN has returned, with `-e kvm=vcpu`. */
  exit?: string;
}

/** The request of an ioctl as strace prints it: with its number, with names that it may have, or both. */
export interface StraceIoctl {
  number?: number;
  names: readonly string[];
  /** The third argument: a pointer, or what strace made of what it points to. */
  argument: string;
}

/** A path of `-y` and `-yy`: `</dev/kvm<char 10:232>>`, `<UNIX-STREAM:[1->2]>`. */
const PATH = '<((?:->|[^<>]|<[^<>]{0,64}>){0,4096})>';
const HEAD = new RegExp(`^([a-z_][a-z0-9_]*)\\((?:(-?\\d{1,9})(?:${PATH})?)?`);
/** How far from its end a line is searched for the result: what stands before may be data. */
const TAIL = 400;
const RESULT = new RegExp(
  `(?:, (\\d{1,18})(?: /\\*[^*]*\\*/)?)?\\) += (-?\\d{1,18}|0x[0-9a-f]{1,16})(?:${PATH}(?:\\(deleted\\))?)?(?: (E[A-Z0-9]+) \\([^)]*\\)| \\(([^)]*)\\))?(?: <[\\d.]+>)?$`,
);

/** @returns `undefined` when the call has no result that can be read */
export function straceCall(text: string): StraceCall | undefined {
  const head = HEAD.exec(text);
  const tail = text.slice(-TAIL);
  const result = RESULT.exec(tail);
  if (head === null || result === null) return undefined;
  const [, name = '', fd, path] = head;
  const [, last, ret, retPath, error, exit] = result;
  const errno = error === undefined ? 0 : ERRNO[error];
  if (errno === undefined) return undefined;
  const end = text.length - tail.length + result.index;
  const rest = text.slice(head[0].length, end) + (last === undefined ? '' : `, ${last}`);
  const call: StraceCall = { name, ret: Number(ret), errno, rest };
  if (fd !== undefined && !fd.startsWith('-')) call.fd = Number(fd);
  if (path !== undefined) call.path = path;
  if (last !== undefined) call.last = Number(last);
  if (retPath !== undefined) call.retPath = retPath;
  if (exit?.startsWith('KVM_EXIT_')) call.exit = exit;
  if (name === 'ioctl') call.request = straceIoctl(rest);
  return call;
}

/** A request that strace has no name for, and its parts: direction, type, number, size. */
const PARTS =
  /^_IOC\(((?:_IOC_\w+|0)(?:\|_IOC_\w+)?), (0x[0-9a-f]{1,2}), (0x[0-9a-f]{1,2}|\d{1,3}), (0x[0-9a-f]{1,4}|\d{1,5})\)/;
/** The request up to its comma: `0x4008af00 /* NAME *\/`, `NAME or NAME`, `_IOC(...)`. */
const REQUEST = /^, (_IOC\([^)]{0,100}\)|[^,]{0,300})(?:, )?/;

function straceIoctl(rest: string): StraceIoctl {
  const [whole = '', text = ''] = REQUEST.exec(rest) ?? [];
  // A number may be followed by the parts as a comment, with commas inside.
  const comment = /^0x[0-9a-f]{1,8} \/\*[^*]{0,300}\*\//.exec(rest.slice(2))?.[0];
  const argument = comment === undefined ? rest.slice(whole.length) : rest.slice(comment.length + 4);
  const digits = /^0x[0-9a-f]{1,8}\b/.exec(text)?.[0];
  const number = digits === undefined ? fromParts(text) : Number(digits);
  return {
    ...(number === undefined ? {} : { number }),
    names: text.match(/\b[A-Z][A-Z0-9]+_[A-Za-z0-9_]+\b/g) ?? [],
    argument,
  };
}

/** `_IOC` of its parts, as encoded on x86 and arm64. */
function fromParts(text: string): number | undefined {
  const [, direction, type, nr, size] = PARTS.exec(text) ?? [];
  if (direction === undefined) return undefined;
  const read = direction.includes('_IOC_READ') ? 2 : 0;
  const write = direction.includes('_IOC_WRITE') ? 1 : 0;
  return (((read + write) << 30) | (Number(size) << 16) | (Number(type) << 8) | Number(nr)) >>> 0;
}

/** Which ioctl of a table it is: by number, or by name where strace gives several for the same number. */
export function ioctlOf<T extends Readonly<Record<string, number>>>(
  request: StraceIoctl,
  table: T,
): (keyof T & string) | undefined {
  const { number, names } = request;
  if (number !== undefined) return Object.keys(table).find((name) => table[name] === number);
  return names.find((name) => Object.hasOwn(table, name));
}

/** A field of a struct that strace has decoded: `{slot=0, flags=0x1, ...}`. */
export function structField(argument: string, name: string): bigint | undefined {
  const text = new RegExp(`[{ ]${name}=(0x[0-9a-f]{1,16}|\\d{1,20})\\b`).exec(argument.slice(0, 4096))?.[1];
  return text === undefined ? undefined : BigInt(text);
}

/** A number that strace has read through the pointer: `[0x300000000]`. */
export function pointedAt(argument: string): bigint | undefined {
  const text = /^\[(0x[0-9a-f]{1,16}|\d{1,20})\b/.exec(argument)?.[1];
  return text === undefined ? undefined : BigInt(text);
}
