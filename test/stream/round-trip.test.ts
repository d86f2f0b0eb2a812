import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findDescription } from '../../src/stream/description.js';
import { StreamReader } from '../../src/stream/reader.js';
import { StreamSummary } from '../../src/stream/summary.js';
import { StreamWriter } from '../../src/stream/writer.js';
import { anyDescribedStream, anyMappedRam, anyStream } from './arbitrary-stream.js';
import { feed, readAll } from './recorded.js';

const cuts = fc.array(fc.nat(), { maxLength: 12 });

test('any stream is read back as it was written, however its bytes are cut', () => {
  fc.assert(
    fc.property(anyStream, cuts, ({ bytes, entries }, places) => {
      expect(readAll(bytes, places)).toEqual(entries);
    }),
    { numRuns: 300 },
  );
});

test('with the vmdescription of its end known beforehand it is read the same, without footers too', () => {
  fc.assert(
    fc.property(anyDescribedStream, cuts, ({ bytes, entries }, places) => {
      const description = findDescription(bytes);
      expect(description).toBeDefined();
      expect(readAll(bytes, places, { description: description! })).toEqual(entries);
    }),
    { numRuns: 300 },
  );
});

test('any mapped-ram file is read back as it was written', () => {
  fc.assert(
    fc.property(anyMappedRam, cuts, ({ bytes, entries }, places) => {
      expect(readAll(bytes, places)).toEqual(entries);
    }),
    { numRuns: 100 },
  );
});

test('a stream that goes through reader and writer comes out as the same bytes', () => {
  fc.assert(
    fc.property(fc.oneof(anyStream, anyMappedRam), cuts, ({ bytes }, places) => {
      const out: Buffer[] = [];
      const writer = new StreamWriter((block) => void out.push(Buffer.from(block)));
      const reader = new StreamReader({
        item: (item) => void writer.item(item),
        page: (block, address, encoding, data) => void writer.page(block, address, encoding, data),
        data: (piece) => void writer.data(piece),
      });
      feed(reader, bytes, places);
      void writer.flush();
      const copy = Buffer.concat(out);
      expect(copy.equals(bytes.subarray(0, copy.length))).toBe(true);
      expect(bytes.length - copy.length).toBeLessThanOrEqual(5);
    }),
    { numRuns: 200 },
  );
});

test('one byte at a time, and all at once, with and without the data of pages', () => {
  for (const { bytes, entries } of fc.sample(fc.oneof(anyStream, anyMappedRam), { numRuns: 20, seed: 3 })) {
    const reports = [[], Array.from(bytes.keys())].map((places) => {
      expect(readAll(bytes, places)).toEqual(entries);
      const summary = new StreamSummary();
      const reader = new StreamReader(summary);
      feed(reader, bytes, places);
      return summary.report(reader.offset, reader.pageSize);
    });
    expect(reports[1]).toEqual(reports[0]);
  }
});
