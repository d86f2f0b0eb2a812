import { ERRNO } from '../../uapi/errno.js';
import { IOCTLS } from '../../uapi/vfio.js';

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
  /** Request number of an ioctl of VFIO. */
  ioctl?: number;
  /** Return value. */
  ret: number;
  /** Positive errno, 0 for success. */
  errno: number;
}

const HEAD = /^([a-z_][a-z0-9_]*)\((?:(\d{1,9})(?:<([^>]{0,4096})>)?)?/;
/** How far from its end a line is searched for the result: what stands before may be data. */
const TAIL = 400;
const RESULT =
  /(?:, (\d{1,18})(?: \/\*[^*]*\*\/)?)?\) += (-?\d{1,18})(?:<[^>]*>)?(?: (E[A-Z0-9]+) \([^)]*\))?(?: <[\d.]+>)?$/;

/** @returns `undefined` when the call has no result that can be read */
export function straceCall(text: string): StraceCall | undefined {
  const head = HEAD.exec(text);
  const result = RESULT.exec(text.slice(-TAIL));
  if (head === null || result === null) return undefined;
  const [, name = '', fd, path] = head;
  const [, last, ret, error] = result;
  const errno = error === undefined ? 0 : ERRNO[error];
  if (errno === undefined) return undefined;
  const call: StraceCall = { name, ret: Number(ret), errno };
  if (fd !== undefined) call.fd = Number(fd);
  if (path !== undefined) call.path = path;
  if (last !== undefined) call.last = Number(last);
  const ioctl = name === 'ioctl' ? vfioIoctl(text.slice(head[0].length, head[0].length + TAIL)) : undefined;
  if (ioctl !== undefined) call.ioctl = ioctl;
  return call;
}

/** Names that say which ioctl it is although strace gives several for the same number. */
const NAMED = Object.entries(IOCTLS);

/** The request of an ioctl: as a number, as names, or as the parts of an unknown number. */
function vfioIoctl(text: string): number | undefined {
  const request = /^, ([^,]*(?:_IOC\([^)]*\))?)/.exec(text)?.[1] ?? '';
  const number = /^0x3b[0-9a-f]{2}\b/.exec(request)?.[0];
  if (number !== undefined) return Number(number);
  const parts = /^_IOC\((?:_IOC_NONE|0), 0x3b, (0x[0-9a-f]{2}), 0(?:x0)?\)/.exec(text.slice(2))?.[1];
  if (parts !== undefined) return 0x3b00 + Number(parts);
  return NAMED.find(([name]) => new RegExp(`\\b${name}\\b`).test(request))?.[1];
}
