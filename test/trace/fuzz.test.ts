import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { EventKind } from '../../src/trace/event.js';
import { EVENT_KINDS, traceEventSchema } from '../../src/trace/event-schema.js';
import { InputError, type ParseCounts, type Reader } from '../../src/trace/reader.js';
import { READERS } from '../../src/trace/readers/index.js';
import { ndjsonHead, ndjsonLine } from '../../src/trace/writer.js';
import { anyEvent } from '../support/arbitrary-events.js';
import { type Fed, feed, trace } from './feed.js';
import { writeLog } from './simpletrace-writer.js';
import { captureOf } from './vhost-user-messages.js';

beforeAll(() => Promise.all(READERS.map((reader) => reader.prepare?.(undefined))));

const lines = (input: Buffer, from: number, to: number) =>
  Buffer.from(`${input.toString('latin1').split('\n').slice(from, to).join('\n')}\n`, 'latin1');

const transition = (from: string, to: string) =>
  ['transitioning', 'transitioned', 'failed to transition']
    .map(
      (verb) =>
        `[2022-05-11 16:27:35.610634] vfio_user.c:2843:vfio_user_log: *DEBUG*: /var/run: migration: ${verb} from state ${from} to state ${to}\n`,
    )
    .join('');

/** A piece of a real recording of each format, or what its writer makes. */
const SAMPLES: Readonly<Record<string, Buffer>> = {
  'qemu-log': lines(trace('qemu-11.1/switchover-ack/src.trace.log'), 0, 160),
  ndjson: Buffer.from(ndjsonHead() + fc.sample(anyEvent, { numRuns: 40, seed: 1 }).map(ndjsonLine).join('')),
  'uapi-bpftrace': lines(trace('recorder/walk.uapi.ndjson'), 0, 60),
  qmp: lines(trace('qemu-11.1/happy-default/src.qmp.ndjson'), 0, 60),
  'vfio-user-jsonl': lines(trace('vfio-user/nofd/dst.jsonl'), 0, 40),
  'libvfio-user-log': Buffer.from(
    transition('running', 'pre-copy') +
      transition('pre-copy', 'stop-and-copy') +
      '[2022-05-11 16:27:35.610644] vfio_user.c:3510:vfio_user_migration_device_state_transition: *DEBUG*: /var/run controller state 3, migration state 2\n' +
      '[2022-05-11 16:27:36.1] vfio_user.c:2843:vfio_user_log: *ERROR*: /var/run: msg0x1f: cmd 10 failed: Invalid argument\n',
  ),
  'qemu-simpletrace': writeLog(
    trace('qemu-11.1/switchover-ack/src.trace.log').toString('utf8').split('\n').slice(0, 80),
    ['vfio_device_get', 'migration_call_notifiers'],
  ),
  'kernel-log': lines(trace('recorder/walk.dmesg-flags.txt'), 0, 30),
  'ftrace-kprobes': lines(trace('recorder/walk.kprobes.txt'), 0, 60),
  strace: lines(trace('recorder/walk.strace'), 0, 60),
  'vhost-user-capture': captureOf(trace('vhost/strace/vhost-user-both-ends.strace.gz')),
};

/** Formats that hold several things: samples of the others. */
const FURTHER: readonly [format: string, what: string, sample: Buffer][] = [
  ['qemu-log', 'vhost-vdpa', lines(trace('vhost/vdpa-cancel/src.trace.log.gz'), 0, 160)],
  ['qemu-log', 'vhost-user', lines(trace('vhost/passt-happy/src.trace.log.gz'), 0, 120)],
  [
    'qemu-simpletrace',
    'vhost',
    writeLog(lines(trace('vhost/vdpa-cancel/src.trace.log.gz'), 0, 80).toString('utf8').split('\n'), []),
  ],
  ['strace', 'vhost', lines(trace('kernel-vhost/vhostlog.strace'), 40, 90)],
  ['strace', 'kvm', trace('vhost/strace/ioctls-exits.strace')],
  ['strace', 'vhost-user', lines(trace('vhost/strace/vhost-user-both-ends.strace.gz'), 0, 60)],
];

const INPUTS = [
  ...READERS.map((reader) => [reader.format, reader, SAMPLES[reader.format]!, 12] as const),
  ...FURTHER.map(([format, what, sample]) => {
    const reader = READERS.find((each) => each.format === format)!;
    return [`${format}: ${what}`, reader, sample, 3] as const;
  }),
];

/** Formats whose records are not lines of text. */
const BINARY = new Set(['qemu-simpletrace']);

const part = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(64));
const hostile = fc.constantFrom(
  '\0',
  '\xff',
  '\r\n',
  '\n\n',
  '-1',
  '0',
  '99999999999999999999',
  '0x',
  '{',
  '}',
  '"',
  '(',
  ')',
  ' ',
  ':',
  '->',
  '\\',
  'null',
  'NaN',
  '\u2028',
);

/** One change of an input: drop, repeat, overwrite, insert or move a piece. */
const change = fc.oneof(
  part.map(([at, length]) => (input: Buffer) => {
    const start = Math.floor(at * input.length);
    return Buffer.concat([input.subarray(0, start), input.subarray(start + length)]);
  }),
  part.map(([at, length]) => (input: Buffer) => {
    const start = Math.floor(at * input.length);
    return Buffer.concat([input.subarray(0, start + length), input.subarray(start)]);
  }),
  fc
    .tuple(part, fc.oneof(fc.uint8Array({ maxLength: 16 }), hostile))
    .map(([[at], bytes]) => (input: Buffer) => {
      const start = Math.floor(at * input.length);
      const put = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : Buffer.from(bytes);
      return Buffer.concat([input.subarray(0, start), put, input.subarray(start + put.length)]);
    }),
  fc.tuple(part, hostile, fc.nat(3)).map(([[at], text, times]) => (input: Buffer) => {
    const start = Math.floor(at * input.length);
    const put = Buffer.from(text.repeat(10 ** times), 'latin1');
    return Buffer.concat([input.subarray(0, start), put, input.subarray(start)]);
  }),
  fc.tuple(part, part).map(([[one], [two, length]]) => (input: Buffer) => {
    const rows = input.toString('latin1').split('\n');
    const moved = rows.splice(Math.floor(one * rows.length), 1 + (length % 4));
    rows.splice(Math.floor(two * rows.length), 0, ...moved);
    return Buffer.from(rows.join('\n'), 'latin1');
  }),
);

const changes = fc.array(change, { minLength: 1, maxLength: 8 });
const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 });
const wants = fc.option(
  fc.subarray([...EVENT_KINDS]).map((kinds) => new Set<EventKind>(kinds)),
  { nil: undefined },
);

interface Options {
  cuts?: readonly number[];
  wants?: ReadonlySet<EventKind> | undefined;
}

/** Feeds an input; what is refused with a message for people gives `undefined`. */
function fed(reader: Reader, input: Buffer, { cuts = [], wants }: Options = {}): Fed | undefined {
  const at = cuts.map((place) => Math.floor(place * input.length));
  try {
    return feed(reader, input, { cuts: at, ...(wants ? { wants } : {}) });
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}

/** Every line is decoded, ignored or malformed. */
function expectSum({ lines, decoded, ignored, malformed, unknown }: ParseCounts): void {
  expect(decoded + ignored + malformed).toBe(lines);
  for (const count of [lines, decoded, ignored, malformed]) expect(count).toBeGreaterThanOrEqual(0);
  for (const [name, count] of unknown) {
    expect(name.length).toBeLessThanOrEqual(64);
    expect(count).toBeGreaterThan(0);
  }
}

/** Lines as an editor counts them: the last one needs no newline. */
function lineCount(input: Buffer): number {
  const newlines = input.reduce((sum, byte) => sum + (byte === 10 ? 1 : 0), 0);
  return input.length > 0 && input.at(-1) !== 10 ? newlines + 1 : newlines;
}

function expectSound(reader: Reader, input: Buffer, options: Options): void {
  const result = fed(reader, input, options);
  if (result === undefined) return;
  expectSum(result.counts);
  if (!BINARY.has(reader.format)) expect(result.counts.lines).toBe(lineCount(input));
  for (const event of result.events) {
    if (options.wants) expect(options.wants).toContain(event.kind);
    expect(reader.shows).toContain(event.kind);
  }
}

function detectOrRefuse(reader: Reader, head: Buffer): void {
  try {
    const score = reader.detect(head, 'input');
    expect(score).toBeGreaterThanOrEqual(0);
    expect(score).toBeLessThanOrEqual(1);
  } catch (error) {
    expect(error).toBeInstanceOf(InputError);
  }
}

test('every format has a sample', () => {
  expect(Object.keys(SAMPLES).sort()).toEqual(READERS.map(({ format }) => format).sort());
});

/** `effort` is the number of lines that are stretched, and a measure of all else. */
describe.each(INPUTS)('%s', (_title, reader, sample, effort) => {
  const { format } = reader;

  test('the sample is of the format and gives events', () => {
    const scores = READERS.map((each) => each.detect(sample, 'input'));
    expect(READERS[scores.indexOf(Math.max(...scores))]?.format).toBe(format);
    expect(feed(reader, sample).events.length).toBeGreaterThan(0);
  });

  test('random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), cuts, (bytes, cuts) => {
        const input = Buffer.from(bytes);
        detectOrRefuse(reader, input);
        expectSound(reader, input, { cuts });
      }),
      { numRuns: 4 * effort },
    );
  });

  test('random changes of a real head', () => {
    fc.assert(
      fc.property(changes, cuts, wants, (changes, cuts, wants) => {
        const input = changes.reduce((bytes, change) => change(bytes), sample);
        detectOrRefuse(reader, input);
        expectSound(reader, input, { cuts, wants });
      }),
      { numRuns: 12 * effort },
    );
  });

  test('how blocks are cut changes nothing', () => {
    fc.assert(
      fc.property(changes, cuts, (changes, cuts) => {
        const input = changes.reduce((bytes, change) => change(bytes), sample);
        expect(fed(reader, input, { cuts })).toEqual(fed(reader, input));
      }),
      { numRuns: 4 * effort },
    );
  });

  test('what nobody listens to is ignored, and changes nothing else', () => {
    const all = feed(reader, sample);
    fc.assert(
      fc.property(wants, (wants) => {
        const some = feed(reader, sample, wants ? { wants } : {});
        expect(some.events).toEqual(all.events.filter(({ kind }) => wants?.has(kind) ?? true));
        expect(some.counts.malformed).toBeLessThanOrEqual(all.counts.malformed);
        expectSum(some.counts);
      }),
      { numRuns: 20 },
    );
  });

  test('lines that are all one thing are read in time', { timeout: 30_000 }, () => {
    const rows = sample
      .toString('latin1')
      .split('\n')
      .filter((row) => row !== '')
      .slice(0, effort);
    const words = [
      ' ',
      '\t',
      '(',
      '{',
      '[',
      '"',
      '0',
      '9',
      'a',
      ': ',
      ', ',
      ' -> ',
      '<',
      '1 ',
      'a=1 ',
      '\0',
      '\xff',
    ];
    const long = words.map((word) => word.repeat(Math.ceil(200_000 / word.length)));
    const inputs = [
      ...long,
      ...rows.flatMap((row) => [
        row.repeat(Math.ceil(200_000 / row.length)),
        ...long.map((text) => middle(row, text)),
        row + long[0],
      ]),
    ];
    for (const input of inputs) {
      const bytes = Buffer.from(`${input}\n`, 'latin1');
      const start = performance.now();
      detectOrRefuse(reader, bytes.subarray(0, 1 << 16));
      expectSound(reader, bytes, {});
      expect(performance.now() - start, `${input.slice(0, 60)} … ${input.slice(-20)}`).toBeLessThan(2000);
    }
  });
});

/** The row with a text in its middle. */
function middle(row: string, text: string): string {
  const at = Math.floor(row.length / 2);
  return row.slice(0, at) + text + row.slice(at);
}

test('the vocabulary is what readers are held to', () => {
  fc.assert(fc.property(anyEvent, (event) => traceEventSchema.safeParse(event).success));
});
