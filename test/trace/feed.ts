import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect } from 'vitest';
import type { EventKind, EventOf, TraceEvent } from '../../src/trace/event.js';
import { traceEventSchema } from '../../src/trace/event-schema.js';
import type { ParseCounts, Reader } from '../../src/trace/reader.js';

/** What one input gave. */
export interface Fed {
  events: TraceEvent[];
  remarks: string[];
  counts: ParseCounts;
  cut: boolean;
}

/** A recorded trace of `test/traces`, decompressed. */
export function trace(path: string): Buffer {
  const bytes = readFileSync(new URL(`../traces/${path}`, import.meta.url));
  return path.endsWith('.gz') ? gunzipSync(bytes) : bytes;
}

/** Feeds an input to a reader in blocks that end at the given places; every event must fit the schema. */
export function feed(
  reader: Reader,
  input: Uint8Array | string,
  options: { cuts?: readonly number[]; wants?: ReadonlySet<EventKind>; host?: string } = {},
): Fed {
  const bytes = Buffer.from(input);
  const events: TraceEvent[] = [];
  const remarks: string[] = [];
  const parser = reader.open({
    file: 'input',
    host: options.host ?? 'src',
    ...(options.wants ? { wants: options.wants } : {}),
    emit: (event) => events.push(event),
    remark: (text) => remarks.push(text),
  });
  const ends = [...(options.cuts ?? [])].sort((a, b) => a - b).concat(bytes.length);
  let start = 0;
  for (const end of ends) {
    // The caller may reuse a block: a parser that keeps a view of it would see garbage.
    const block = Buffer.from(bytes.subarray(start, end));
    parser.write(block);
    block.fill(0xaa);
    start = end;
  }
  const { cut } = parser.end();
  for (const event of events) traceEventSchema.parse(event);
  return { events, remarks, counts: parser.counts, cut };
}

/** How often each kind came. */
export function tally(events: readonly TraceEvent[]): Record<string, number> {
  const out: Record<string, number> = {};
  for (const { kind } of events) out[kind] = (out[kind] ?? 0) + 1;
  return out;
}

/** The events of one kind. */
export function only<K extends EventKind>(events: readonly TraceEvent[], kind: K): EventOf<K>[] {
  return events.filter((event): event is EventOf<K> => event.kind === kind);
}

/** Lines, decoded, ignored and malformed as one short text. */
export function countsText({ lines, decoded, ignored, malformed }: ParseCounts): string {
  return `${lines} = ${decoded} + ${ignored} + ${malformed}`;
}

/** The same input gives the same, however its blocks are cut. */
export function expectSameHoweverCut(reader: Reader, input: Uint8Array): void {
  const whole = feed(reader, input);
  fc.assert(
    fc.property(fc.array(fc.nat(input.length), { maxLength: 12 }), (cuts) => {
      expect(feed(reader, input, { cuts })).toEqual(whole);
    }),
    { numRuns: 30 },
  );
}
