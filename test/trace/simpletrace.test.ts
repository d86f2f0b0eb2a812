import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TraceEvent } from '../../src/trace/event.js';
import { QEMU_ROWS, qemuLogReader } from '../../src/trace/readers/qemu-log.js';
import { simpletraceReader as reader } from '../../src/trace/readers/simpletrace.js';
import { FORMATS } from '../../src/trace/readers/simpletrace-formats.js';
import { countsText, feed, only, tally, trace } from './feed.js';
import { SimpletraceWriter, writeLog } from './simpletrace-writer.js';

const OLD = ['vfio_get_device', 'vfio_reset_handler'];
const NEW = ['vfio_device_get', 'migration_call_notifiers', 'vfio_migration_init'];

const LOGS: readonly [string, readonly string[]][] = [
  ['qemu-11.1/happy-default/src', NEW],
  ['qemu-11.1/happy-default/dst', NEW],
  ['qemu-11.1/multifd-transfer/src', NEW],
  ['qemu-11.1/multifd-transfer/dst', NEW],
  ['qemu-10.0/switchover-ack/src', OLD],
  ['qemu-10.0/switchover-ack/dst', OLD],
  ['vhost/vdpa-cancel/src', NEW],
  ['vhost/passt-happy/src', NEW],
  ['vhost/passt-src-backend-killed/src', NEW],
];

const linesOf = (path: string) => trace(`${path}.trace.log.gz`).toString('utf8').split('\n');

/** What an event says, without where and when it was seen. */
const meaning = ({ t: _t, line: _line, thread: _thread, ...rest }: TraceEvent) => rest;

const file = (...lines: string[]) => writeLog(lines, NEW);

describe('files made of real logs', () => {
  it.each(LOGS)('%s says what the log says, in both byte orders', (path, built) => {
    const lines = linesOf(path);
    const log = feed(qemuLogReader, lines.join('\n')).events;
    for (const little of [true, false]) {
      const { events, counts, cut, remarks } = feed(reader, writeLog(lines, built, little));
      expect(events.map(meaning)).toEqual(log.map(meaning));
      expect(counts.malformed).toBe(0);
      expect(counts.decoded).toBeGreaterThan(0);
      expect(counts.decoded + counts.ignored).toBe(counts.lines);
      expect({ cut, remarks }).toEqual({ cut: false, remarks: [] });
    }
  });

  it('gives the same events however blocks are cut', () => {
    const input = writeLog(linesOf('qemu-11.1/happy-default/src'), NEW);
    const whole = feed(reader, input);
    fc.assert(
      fc.property(fc.array(fc.nat(input.length), { maxLength: 30 }), (cuts) => {
        const parts = feed(reader, input, { cuts });
        expect(parts.events).toEqual(whole.events);
        expect(countsText(parts.counts)).toBe(countsText(whole.counts));
      }),
      { numRuns: 30 },
    );
  });

  it('reads a byte at a time', () => {
    const input = file('migrate_set_state new state setup', 'migrate_set_state new state active');
    const cuts = Array.from({ length: input.length }, (_, index) => index);
    expect(feed(reader, input, { cuts }).events).toEqual(feed(reader, input).events);
  });
});

describe('records', () => {
  it('carry the time in microseconds and the place in bytes', () => {
    const writer = new SimpletraceWriter();
    writer.name('migrate_set_state');
    const at = writer.size;
    writer.event({ name: 'migrate_set_state', ns: 1_234_500n, values: ['active'] });
    expect(feed(reader, writer.bytes()).events).toEqual([
      { kind: 'migration_status', t: 1234.5, host: 'src', file: 'input', line: at, status: 'active' },
    ]);
  });

  it('are read by the format that they fit', () => {
    const { events } = feed(
      reader,
      file(
        'vfio_migration_set_state  (a) new state PRE_COPY, recover state ERROR',
        'vfio_migration_set_state  (a) state RUNNING',
        'vfio_save_complete_precopy  (a) ret -5',
        'vfio_save_complete_precopy  (a)',
        'source_return_path_thread_switchover_acked switchover_ack_pending_num 3',
        'source_return_path_thread_switchover_acked ',
      ),
    );
    expect(events.map(meaning)).toMatchObject([
      { kind: 'set_state', state: 'PRE_COPY', recover: 'ERROR' },
      { kind: 'set_state_result', state: 'RUNNING' },
      { kind: 'save_complete', errno: 5 },
      { kind: 'save_complete' },
      { kind: 'switchover_ack', pending: 3 },
      { kind: 'switchover_ack' },
    ]);
  });

  it('name the notifier by the numbers of their build', () => {
    const line = 'vfio_migration_state_notifier  (a) state 1';
    const notifier = (built: readonly string[]) =>
      only(feed(reader, writeLog([line], built)).events, 'notifier')[0];
    expect(notifier(NEW)).toMatchObject({ event: 'switchover', number: 1 });
    expect(notifier(OLD)).toMatchObject({ event: 'done', number: 1 });
    expect(notifier([])).not.toHaveProperty('event');
  });

  it('are skipped when nobody listens, and the build is still known', () => {
    const input = file('migrate_set_state new state setup', 'vfio_migration_state_notifier  (a) state 1');
    const { events, counts } = feed(reader, input, { wants: new Set(['notifier']) });
    expect(events).toMatchObject([{ kind: 'notifier', event: 'switchover' }]);
    expect(countsText(counts)).toBe('7 = 1 + 6 + 0');
  });

  it('may have line breaks in their texts', () => {
    const writer = new SimpletraceWriter();
    writer.event({ name: 'migrate_error', ns: 0n, values: ['one\nmigrate_set_state new state failed'] });
    expect(feed(reader, writer.bytes()).events).toMatchObject([
      { kind: 'migration_error', text: 'one migrate_set_state new state failed' },
    ]);
  });

  it('print numbers as wide as the format says', () => {
    const writer = new SimpletraceWriter();
    writer.event({ name: 'migration_completion_vm_stop', ns: 0n, values: [(1n << 64n) - 22n] });
    writer.event({ name: 'migration_completion_vm_stop', ns: 0n, values: [0xffff_ffean] });
    expect(feed(reader, writer.bytes()).events).toMatchObject([{ errno: 22 }, { errno: 22 }]);
  });

  it('of protocol v1 are refused', () => {
    for (const line of ['vfio_migration_set_state  (a) state 2', 'vfio_update_pending  (a) pending 0x5']) {
      expect(() => feed(reader, file(line))).toThrow(
        /^input: QEMU 7\.2 and older speak migration protocol v1/,
      );
    }
  });

  it('have a format for every event that the log reader knows', () => {
    const known = QEMU_ROWS.map(({ name }) => name);
    expect(Object.keys(FORMATS).sort()).toEqual([...known].sort());
  });
});

describe('damage', () => {
  const good = 'migrate_set_state new state active';

  it('is told when events were dropped', () => {
    const writer = new SimpletraceWriter();
    writer.record(0xffff_ffff_ffff_fffen, 5n, writer.u64(7n));
    writer.record(0xffff_ffff_ffff_fffen, 6n, writer.u64(2n));
    const { remarks, cut } = feed(reader, writer.bytes());
    expect(remarks).toEqual([
      'QEMU lost 9 events because its trace buffer was full: what is missing here may still have happened',
    ]);
    expect(cut).toBe(false);
  });

  it.each([
    ['too short', 23, undefined],
    ['too long', 65537, undefined],
    ['an absurd name', undefined, 2000],
  ])('stops at a record that is %s', (_name, length, nameLength) => {
    const writer = new SimpletraceWriter();
    writer.event({ name: 'migrate_set_state', ns: 1n, values: ['active'] });
    const at = writer.size;
    if (length !== undefined)
      writer.raw(writer.u64(1n), writer.u64(0n), writer.u64(0n), writer.u32(length), writer.u32(1));
    else writer.raw(writer.u64(0n), writer.u64(9n), writer.u32(nameLength!));
    writer.event({ name: 'migrate_set_state', ns: 2n, values: ['device'] });
    const { events, counts, cut, remarks } = feed(reader, writer.bytes());
    expect(tally(events)).toEqual({ migration_status: 1 });
    expect({ cut, malformed: counts.malformed }).toEqual({ cut: true, malformed: 1 });
    expect(remarks[0]).toContain(`at byte ${at} cannot be`);
  });

  it('is counted when arguments fit no format', () => {
    const writer = new SimpletraceWriter();
    writer.event({ name: 'migrate_set_state', ns: 0n, values: ['active', 1n] });
    writer.event({ name: 'migrate_set_state', ns: 0n, values: ['flying'] });
    writer.record(writer.name('migrate_set_state'), 0n, writer.u32(500));
    const { events, counts } = feed(reader, writer.bytes());
    expect(events).toEqual([]);
    expect(countsText(counts)).toBe('4 = 0 + 1 + 3');
  });

  it('leaves names behind that nobody knows', () => {
    const writer = new SimpletraceWriter();
    writer.event({ name: 'brand_new', ns: 0n, values: [1n] });
    writer.record(99n, 0n, new Uint8Array());
    expect([...feed(reader, writer.bytes()).counts.unknown]).toEqual([
      ['brand_new', 1],
      ['event 99', 1],
    ]);
  });

  it('cuts an input at any byte without harm', () => {
    const input = file(good, good);
    const ends = new Set(feedEnds(input));
    for (let end = 24; end < input.length; end++) {
      expect(feed(reader, input.subarray(0, end)).cut, `${end}`).toBe(!ends.has(end));
    }
    expect(feed(reader, input.subarray(0, 10)).cut).toBe(true);
  });

  it('never throws but for the header and protocol v1', () => {
    const input = writeLog(linesOf('qemu-11.1/happy-default/src').slice(0, 60), NEW);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 24, max: input.length - 1 }), fc.nat(255)), { maxLength: 8 }),
        (flips) => {
          const bytes = Buffer.from(input);
          for (const [at, value] of flips) bytes[at] = value;
          try {
            feed(reader, bytes);
          } catch (error) {
            expect(String(error)).toContain('protocol v1');
          }
        },
      ),
    );
  });
});

/** Where records of a little-endian file end. */
function feedEnds(input: Buffer): number[] {
  const ends = [24];
  for (let at = 24; at < input.length; ends.push(at)) {
    const mapping = input.readBigUInt64LE(at) === 0n;
    at += mapping ? 20 + input.readUInt32LE(at + 16) : 8 + input.readUInt32LE(at + 24);
  }
  return ends;
}

describe('the header', () => {
  it('is known in both byte orders', () => {
    expect(reader.detect(new SimpletraceWriter(true).bytes(), 'x')).toBe(1);
    expect(reader.detect(new SimpletraceWriter(false).bytes(), 'x')).toBe(1);
    expect(reader.detect(Buffer.from('migrate_set_state new state setup\n'), 'x')).toBe(0);
    expect(reader.detect(Buffer.alloc(30, 0xff), 'x')).toBe(0);
    expect(reader.detect(new Uint8Array(), 'x')).toBe(0);
  });

  it.each([0n, 2n, 3n, 5n])('of version %s is refused with the reason', (version) => {
    const bytes = new SimpletraceWriter(true, version).bytes();
    expect(() => reader.detect(bytes, 'x.bin')).toThrow(`x.bin: simpletrace file of version ${version}`);
    expect(() => feed(reader, bytes)).toThrow('simpletrace file of version');
  });

  it('of something else is refused', () => {
    expect(() => feed(reader, 'migrate_set_state new state setup\n')).toThrow('input: no simpletrace header');
  });
});
