import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { PassThrough, Writable } from 'node:stream';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { TraceEvent } from '../../src/trace/event.js';
import { EVENT_KINDS, traceEventSchema } from '../../src/trace/event-schema.js';
import { traceEventJsonSchema } from '../../src/trace/json-schema.js';
import { uapiBpftraceReader } from '../../src/trace/readers/bpftrace-uapi.js';
import { ndjsonReader as reader } from '../../src/trace/readers/ndjson.js';
import { ndjsonHead, ndjsonLine, TraceWriter, writeTrace } from '../../src/trace/writer.js';
import { countsText, feed, trace } from './feed.js';

beforeAll(() => reader.prepare?.(undefined));

const real = () =>
  feed(uapiBpftraceReader, trace('qemu-11.1-uapi/two-devices/uapi.bpftrace.ndjson.gz')).events;
const reset: TraceEvent = { kind: 'reset', host: 'h', device: 'd' };

/** A sink that keeps what is written to it and is slow about it. */
function sink(): { out: Writable; text: () => string } {
  const parts: Buffer[] = [];
  const out = new Writable({
    highWaterMark: 256,
    write(part, _encoding, done) {
      parts.push(part);
      setImmediate(done);
    },
  });
  return { out, text: () => Buffer.concat(parts).toString() };
}

describe('writer and reader', () => {
  it('give back the events of a real trace', async () => {
    const events = real();
    const { out, text } = sink();
    expect(await writeTrace(out, events)).toBe(events.length);
    out.end();
    await once(out, 'finish');
    const back = feed(reader, text());
    expect(back.events).toEqual(events);
    expect(countsText(back.counts)).toBe(`${events.length + 1} = ${events.length} + 1 + 0`);
    expect(back.cut).toBe(false);
  });

  it('write event by event', () => {
    const out = new PassThrough();
    const writer = new TraceWriter(out, { shows: new Set(['reset', 'set_state']) });
    writer.write(reset);
    expect(writer.events).toBe(1);
    expect(out.read().toString()).toBe(
      '{"schema":"stopcopy-trace-1","shows":["set_state","reset"]}\n{"kind":"reset","host":"h","device":"d"}\n',
    );
  });
});

describe('reader', () => {
  it('takes events without a head line, and gives them a place', () => {
    const { events } = feed(reader, '{"kind":"reset","device":"d","errno":0}\n\n', { host: 'h' });
    expect(events).toEqual([{ kind: 'reset', device: 'd', errno: 0, host: 'h', file: 'input', line: 1 }]);
  });

  it('keeps the place that an event has of its own', () => {
    const event = { ...reset, file: 'qemu.log', line: 77 };
    expect(feed(reader, ndjsonHead() + ndjsonLine(event)).events).toEqual([event]);
  });

  it('knows what the source of the trace could show', () => {
    const shows = (text: string) => {
      const parser = reader.open({ file: 'f', host: 'h', emit() {}, remark() {} });
      parser.write(Buffer.from(text));
      parser.end();
      return [...(parser.shows ?? [])];
    };
    expect(shows(ndjsonHead())).toEqual([...EVENT_KINDS]);
    expect(shows(ndjsonLine(reset))).toEqual([...EVENT_KINDS]);
    expect(shows(ndjsonHead({ shows: new Set(['reset', 'set_state']) }))).toEqual(['set_state', 'reset']);
    expect(shows('{"schema":"stopcopy-trace-1","shows":["reset","novel",3]}\n')).toEqual(['reset']);
    expect(
      shows(
        ndjsonHead({ shows: new Set(['reset', 'set_state']) }) + ndjsonHead({ shows: new Set(['reset']) }),
      ),
    ).toEqual(['reset']);
  });

  it('counts what is no event', () => {
    const { events, counts } = feed(
      reader,
      [
        '{"kind":"novel","host":"h"}',
        '{"kind":"reset"}',
        '{"kind":"reset","device":"d","host":"h","x":1}',
        'text',
        '[]',
        '{}',
        '',
      ].join('\n'),
    );
    expect(events).toEqual([]);
    expect(countsText(counts)).toBe('6 = 0 + 1 + 5');
    expect([...counts.unknown]).toEqual([['novel', 1]]);
  });

  it('says that a trace is cut', () => {
    const text = ndjsonHead() + ndjsonLine(reset);
    expect(feed(reader, text).cut).toBe(false);
    expect(feed(reader, text.slice(0, -1)).cut).toBe(false);
    expect(feed(reader, text.slice(0, -5)).cut).toBe(true);
  });

  it('gives the same however the blocks are cut', () => {
    const input = Buffer.from(ndjsonHead() + real().map(ndjsonLine).join(''));
    const whole = feed(reader, input);
    fc.assert(
      fc.property(fc.array(fc.nat(input.length), { maxLength: 12 }), (cuts) => {
        expect(feed(reader, input, { cuts })).toEqual(whole);
      }),
      { numRuns: 20 },
    );
  });

  it('knows its format', () => {
    expect(reader.detect(Buffer.from(ndjsonHead()), '')).toBe(1);
    expect(reader.detect(Buffer.from(ndjsonLine(reset)), '')).toBe(0.9);
    expect(reader.detect(Buffer.from('{"schema":"stopcopy-report-1"}'), '')).toBe(0);
    expect(reader.detect(trace('kernel-mtty/matrix.ndjson'), '')).toBe(0);
    expect(reader.detect(Buffer.from(''), '')).toBe(0);
    expect(() => reader.detect(Buffer.from('{"schema":"stopcopy-trace-2"}'), '')).toThrow(/stopcopy-trace-2/);
  });

  it('skips what nobody listens to', () => {
    const { counts } = feed(reader, ndjsonLine(reset), { wants: new Set(['set_state'] as const) });
    expect(countsText(counts)).toBe('1 = 0 + 1 + 0');
  });
});

describe('the published JSON Schema', () => {
  const path = '../../docs/schema/trace-event.schema.json';

  // `npx vitest run test/trace/ndjson.test.ts --update` writes it anew.
  it('is the one of the zod schema', async () => {
    await expect(`${JSON.stringify(traceEventJsonSchema(), null, 2)}\n`).toMatchFileSnapshot(path);
  });

  it('accepts events and refuses what is none', () => {
    const schema = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as object;
    const valid = new Ajv2020({ strict: true, allErrors: true }).compile(schema);
    for (const event of real()) expect(valid(event)).toBe(true);
    expect(valid(reset)).toBe(true);
    const wrong: unknown[] = [
      {},
      { kind: 'novel', host: 'h' },
      { kind: 'reset', host: 'h' },
      { ...reset, errno: -22 },
      { ...reset, extra: 1 },
      { kind: 'driver_arc', host: 'h', device: 'd', from: 'RUNNING', to: 'GONE' },
      { kind: 'dma_logging_report', host: 'h', device: 'd', iova: '1000' },
    ];
    for (const event of wrong) {
      expect(valid(event)).toBe(false);
      expect(traceEventSchema.safeParse(event).success).toBe(false);
    }
  });

  it('has every kind', () => {
    expect(EVENT_KINDS).toContain('set_state');
    expect(new Set(EVENT_KINDS).size).toBe(EVENT_KINDS.length);
    expect(EVENT_KINDS).toHaveLength((traceEventJsonSchema().oneOf as unknown[]).length);
  });
});
