import fc from 'fast-check';
import { findDescription } from '../../src/stream/description.js';
import { StreamError } from '../../src/stream/error.js';
import type { StreamSink } from '../../src/stream/item.js';
import { MultifdReader } from '../../src/stream/multifd-reader.js';
import { MultifdSummary } from '../../src/stream/multifd-summary.js';
import { StreamReader } from '../../src/stream/reader.js';
import type { InspectReport } from '../../src/stream/report.js';
import { StreamSummary } from '../../src/stream/summary.js';
import { inspectText } from '../../src/stream/tree.js';
import { anyChannel } from './arbitrary-channel.js';
import { anyDescribedStream, anyMappedRam, anyStream } from './arbitrary-stream.js';
import { dice, mutated } from './mutate.js';

/** What a run of the fuzzer has seen. */
export interface FuzzResult {
  streams: number;
  /** Streams that the changes have left whole. */
  complete: number;
  /** Most time for one stream, in milliseconds. */
  slowest: number;
  /** Most bytes that a reader has held, beyond twice its input. */
  mostHeld: number;
}

/** Bytes that a reader may hold however short its input is. */
export const HELD = 16 << 10;

const MAGIC = 0x11223344;

/** Samples to change: streams, mapped-ram files, multifd channels. */
export function samples(count: number, seed: number): Buffer[] {
  const any = fc.oneof(anyStream, anyStream, anyDescribedStream, anyMappedRam, anyChannel);
  return fc
    .sample(any, { numRuns: count, seed })
    .map(({ bytes }) => bytes)
    .filter((bytes) => bytes.length < 100_000);
}

/**
 * Changes streams and reads them, cut into blocks at random. Anything but a StreamError comes through, and
 * so does a reader that holds more than twice its input.
 */
export function fuzz(originals: readonly Buffer[], count: number, seed: number): FuzzResult {
  const result: FuzzResult = { streams: 0, complete: 0, slowest: 0, mostHeld: 0 };
  for (let index = 0; index < count; index++) {
    const roll = dice(seed + index);
    const bytes = mutated(originals[roll(originals.length)]!, roll);
    const began = performance.now();
    try {
      one(bytes, roll, result);
    } catch (error) {
      throw new Error(`seed ${seed + index}: ${(error as Error).message}`, { cause: error });
    }
    result.slowest = Math.max(result.slowest, performance.now() - began);
    result.streams++;
  }
  return result;
}

function one(bytes: Buffer, roll: (most: number) => number, result: FuzzResult): void {
  const { reader, report } = open(bytes, roll);
  const block = [1, 7, 100, 4096, bytes.length + 1][roll(5)]!;
  let error: StreamError | undefined;
  try {
    for (let at = 0; at < bytes.length; at += block) {
      reader.write(bytes.subarray(at, at + block));
      result.mostHeld = Math.max(result.mostHeld, reader.held - 2 * (at + block));
    }
    reader.end();
    result.complete++;
  } catch (failure) {
    if (!(failure instanceof StreamError)) throw failure;
    error = failure;
    if (error.offset < 0 || error.offset > bytes.length) throw new Error(`offset ${error.offset}`);
    if (!/^expected [^\n]*$/.test(error.message)) throw new Error(`message ${error.message}`);
  }
  if (result.mostHeld > HELD) throw new Error(`${result.mostHeld} bytes held`);
  const shown = report(error);
  if (shown !== undefined && roll(10) === 0) for (const _line of inspectText(shown, 'x', (_, text) => text));
}

function open(bytes: Buffer, roll: (most: number) => number) {
  if (bytes.length >= 4 && bytes.readUInt32BE() === MAGIC) {
    const summary = new MultifdSummary();
    const reader = new MultifdReader(summary);
    return { reader, report: (error?: StreamError) => summary.report(reader.offset, error) };
  }
  const summary = new StreamSummary();
  const description = roll(2) === 0 ? findDescription(bytes) : undefined;
  const options = description === undefined ? {} : { description };
  if (roll(2) === 0) {
    const pages: StreamSink = {
      item: () => {},
      page: (_block, _address, _encoding, data, size) => {
        if (data.length !== size) throw new Error(`${data.length} bytes of a page of ${size}`);
      },
      data: () => {},
    };
    return { reader: new StreamReader(pages, options), report: (): InspectReport | undefined => undefined };
  }
  const reader = new StreamReader(summary, options);
  return { reader, report: (error?: StreamError) => summary.report(reader.offset, reader.pageSize, error) };
}
