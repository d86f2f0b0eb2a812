/**
 * What a scan kernel does. A kernel looks at log text line by line and sorts the lines by the event
 * name that they begin with, after an optional time prefix. It hands out only the lines whose name is
 * wanted and counts all others, so that the cost of a line that nobody asked for is a few nanoseconds.
 *
 * There are two kernels with the same behaviour: `PlainKernel` in TypeScript, and `SimdKernel`, which
 * is WebAssembly (`scan.wat`). Both keep everything in buffers of fixed size.
 */
export interface ScanKernel {
  /** Where text is put. Bytes from `PAD` before its end on are the kernel's own. */
  readonly text: Buffer;
  /** What the last `scan` found: `RECORD` numbers a line, see there. */
  readonly records: Int32Array;
  /** Lines handed out by the last `scan`, at most `MAX_RECORDS`. */
  readonly found: number;
  /** Lines that the last `scan` went over. */
  readonly lines: number;
  /** Names that the kernel holds; the first ones are those given to `learn`. */
  readonly names: number;
  /**
   * Goes over the complete lines of `text` from `from` to `to` (exclusive) and returns where it
   * stopped: after the last newline, or earlier when `records` is full; then call again from there.
   */
  scan(from: number, to: number): number;
  /** Says whether lines with the name number `name` are handed out. */
  want(name: number, wanted: boolean): void;
  /** The name with this number. */
  name(name: number): string;
  /** Lines that `scan` saw with this name. */
  count(name: number): number;
}

/** Numbers of one record: line start, end of the event name, line end (the newline), line from 0, name. */
export const RECORD = 5;

/** Most records of one `scan`. */
export const MAX_RECORDS = 4096;

/** Most names that a kernel holds. Lines with further names are not counted by name. */
export const MAX_NAMES = 2048;

/** Room for one event name. A word of this length or more is no event name. */
export const MAX_NAME = 64;

/** Bytes after the text that a kernel may read; they must be newlines. */
export const PAD = 64;

/** Bytes that a kernel takes at a time; small enough that they stay in the processor's cache. */
export const CHUNK = 1 << 18;
