import type { EventKind, TraceEvent } from './event.js';
import type { ParseCounts } from './reader.js';

/** One input as the user named it. */
export interface TraceInput {
  /** Path, or `-` for standard input. */
  file: string;
  /** Name of the host; the default is the file's name up to its first dot. */
  host?: string;
  /** Format name; the default is to find it out. */
  format?: string;
}

export interface ReadOptions {
  emit(event: TraceEvent): void;
  wants?: ReadonlySet<EventKind>;
  /** Called now and then with the bytes of the file read so far and its size (undefined for pipes). */
  progress?(done: number, total: number | undefined): void;
}

/** What was read. */
export interface ReadSummary {
  file: string;
  host: string;
  format: string;
  shows: ReadonlySet<EventKind>;
  bytes: number;
  cut: boolean;
  counts: ParseCounts;
  remarks: string[];
}

/**
 * Reads one input from its start to its end: opens it, decompresses gzip and zstd, finds the format
 * out, and pushes blocks through the reader.
 * @throws InputError when it cannot be opened, is a directory, empty, or of no known format
 */
export async function readTrace(_input: TraceInput, _options: ReadOptions): Promise<ReadSummary> {
  throw new Error('in the making');
}
