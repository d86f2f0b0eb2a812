import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, expectTypeOf, it } from 'vitest';
import type { z } from 'zod';
import { StreamError } from '../../src/stream/error.js';
import { MultifdReader } from '../../src/stream/multifd-reader.js';
import { MultifdSummary } from '../../src/stream/multifd-summary.js';
import { StreamReader } from '../../src/stream/reader.js';
import type { InspectReport } from '../../src/stream/report.js';
import { inspectJsonSchema, type inspectSchema } from '../../src/stream/report-schema.js';
import { StreamSummary } from '../../src/stream/summary.js';
import { inspectText } from '../../src/stream/tree.js';
import { anyChannel } from './arbitrary-channel.js';
import { anyMappedRam, anyStream } from './arbitrary-stream.js';
import { feed } from './recorded.js';

type Parsed = z.infer<typeof inspectSchema>;
const PUBLISHED = new URL('../../docs/schema/inspect-report.schema.json', import.meta.url);

function report(bytes: Buffer, isChannel: boolean): InspectReport {
  const summary = isChannel ? undefined : new StreamSummary();
  const multifd = new MultifdSummary();
  const stream = summary && new StreamReader(summary);
  const channel = new MultifdReader(multifd);
  const reader = stream ?? channel;
  let error: StreamError | undefined;
  try {
    feed(reader, bytes);
  } catch (failure) {
    if (!(failure instanceof StreamError)) throw failure;
    error = failure;
  }
  const end = error?.offset ?? reader.offset;
  return stream ? summary.report(end, stream.pageSize, error) : multifd.report(end, error);
}

/** Reports of all kinds, of whole and of cut inputs. */
const reports = (
  [
    [anyStream, false],
    [anyMappedRam, false],
    [anyChannel, true],
  ] as const
).flatMap(([any, isChannel]) =>
  fc
    .sample(any, { numRuns: 40, seed: 5 })
    .flatMap(({ bytes }) => [
      report(bytes, isChannel),
      report(bytes.subarray(0, bytes.length >> 1), isChannel),
    ]),
);

describe('schema of the report of inspect', () => {
  it('has the types of the report', () => {
    expectTypeOf<Parsed>().toExtend<InspectReport>();
    expectTypeOf<InspectReport>().toExtend<Parsed>();
    expectTypeOf<keyof Parsed>().toEqualTypeOf<keyof InspectReport>();
    expectTypeOf<keyof Parsed['sections'][number]>().toEqualTypeOf<keyof InspectReport['sections'][number]>();
    expectTypeOf<keyof Parsed['vfio'][number]>().toEqualTypeOf<keyof InspectReport['vfio'][number]>();
    expectTypeOf<keyof Parsed['ram']>().toEqualTypeOf<keyof InspectReport['ram']>();
  });

  it('accepts reports, and nothing with another field', () => {
    const validate = new Ajv2020().compile(inspectJsonSchema());
    for (const each of reports) {
      expect(validate(JSON.parse(JSON.stringify(each))), JSON.stringify(validate.errors)).toBe(true);
    }
    expect(validate({ ...reports[0], extra: 1 })).toBe(false);
    expect(validate({ ...reports[0], complete: 'yes' })).toBe(false);
  });

  it('is the published one (after a change: npx vitest run test/stream/report-schema.test.ts -u)', async () => {
    await expect(`${JSON.stringify(inspectJsonSchema(), null, 2)}\n`).toMatchFileSnapshot(
      fileURLToPath(PUBLISHED),
    );
  });
});

describe('the tree', () => {
  it('is printable, whatever the names, and says how the stream ended', () => {
    for (const each of reports) {
      const text = [...inspectText(each, 'state\u001b[31m.mig', (_style, shown) => shown)].join('');
      expect(text).not.toMatch(/[^\n\P{Cc}]/u);
      expect(text).toMatch(each.complete ? /\ncomplete: / : /\ndamaged at offset \d+: expected /);
    }
  });
});
