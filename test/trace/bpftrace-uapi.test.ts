import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { uapiBpftraceReader as reader } from '../../src/trace/readers/bpftrace-uapi.js';
import { countsText, feed, only, tally, trace } from './feed.js';

const qemu = (name: string) => trace(`qemu-11.1-uapi/${name}/uapi.bpftrace.ndjson.gz`);
const matrix = () => trace('kernel-mtty/uapi.bpftrace.ndjson.gz');
const HEAD = '{"schema":"stopcopy-uapi-1","bpftrace":"0.17.0","t":1}\n';
const END = '{"ev":"end","t":9000}\n';
const record = (ev: string, fields: Record<string, unknown>) =>
  `${JSON.stringify({ t: 5000, pid: 7, tid: 8, ev, fd: 17, ...fields })}\n`;
const feature = (fields: Record<string, unknown>) =>
  record('vfio_device_feature', { ret: 0, dur: 500, ...fields });
const SET = 0x20000;
const GET = 0x10000;

describe('recordings of the prototype', () => {
  it('reads a migration between two QEMUs', () => {
    const { events, counts, cut, remarks } = feed(reader, qemu('happy-default'));
    expect(cut).toBe(false);
    expect(remarks).toEqual([]);
    expect(countsText(counts)).toBe('155 = 41 + 114 + 0');
    expect(tally(events)).toEqual({
      capabilities: 2 + 2 + 2,
      feature_probe: 2,
      precopy_info_v2: 2,
      set_state: 11,
      set_state_result: 11,
      dma_logging_start: 1,
      dma_logging_report: 9,
      data_size: 2,
      precopy_info: 2,
      data_read: 6,
      data_write: 2,
      data_close: 2,
    });
    const asked = (host: string) =>
      only(events, 'set_state').flatMap((e) => (e.host === host ? [e.state] : []));
    expect(asked('pid-216')).toEqual([
      'RUNNING_P2P',
      'RUNNING',
      'PRE_COPY',
      'PRE_COPY_P2P',
      'STOP_COPY',
      'STOP',
    ]);
    expect(asked('pid-221').slice(-5)).toEqual(['RESUMING', 'RUNNING_P2P', 'RUNNING', 'RUNNING_P2P', 'STOP']);
    expect(only(events, 'data_read').map((event) => [event.device, event.size, event.result])).toEqual([
      ['fd 17', 60, 24],
      ['fd 17', 60, 0],
      ['fd 17', 60, 0],
      ['fd 17', 60, 0],
      ['fd 17', 60, 36],
      ['fd 17', 60, 0],
    ]);
  });

  it('tells two devices of a process apart', () => {
    const { events } = feed(reader, qemu('two-devices'));
    const devices = new Set(only(events, 'data_read').map((event) => `${event.host} ${event.device}`));
    expect(devices).toEqual(new Set(['pid-283 fd 17', 'pid-283 fd 20']));
    expect(tally(events)).toMatchObject({ set_state: 22, data_read: 16, data_write: 4, data_close: 4 });
  });

  it('reads the run of the matrix program', () => {
    const { events, counts } = feed(reader, matrix());
    expect(counts.malformed).toBe(0);
    expect(tally(events)).toEqual({
      // 1 GET of the flags and 2 probes of DMA_LOGGING_START that succeeded
      capabilities: 3,
      feature_probe: 48,
      set_state: 378,
      set_state_result: 378,
      get_state: 563,
      dma_logging_start: 11,
      dma_logging_stop: 8,
      dma_logging_report: 8,
      data_size: 7,
      precopy_info: 77,
      data_read: 92,
      data_write: 114,
      data_close: 157,
      reset: 234,
    });
    const results = only(events, 'set_state_result');
    expect(results.filter((event) => event.errno === 22)).toHaveLength(85);
    expect(results.filter((event) => event.dataFd)).toHaveLength(158);
    // What a refused call left in user memory is no state of the device.
    expect(results.filter((event) => event.errno !== 0 && event.state !== undefined)).toEqual([]);
    expect(only(events, 'reset').every((event) => event.errno === undefined)).toBe(true);
  });

  it('gives the same however the blocks are cut', () => {
    const input = qemu('happy-default');
    const whole = feed(reader, input);
    fc.assert(
      fc.property(fc.array(fc.nat(input.length), { maxLength: 12 }), (cuts) => {
        expect(feed(reader, input, { cuts })).toEqual(whole);
      }),
      { numRuns: 30 },
    );
  });

  it('is found out behind warnings', () => {
    expect(reader.detect(qemu('happy-default').subarray(0, 65536), '')).toBe(0.95);
    expect(reader.detect(matrix().subarray(0, 65536), '')).toBe(0.95);
    expect(reader.detect(trace('recorder/walk.uapi.ndjson'), '')).toBe(1);
    expect(reader.detect(trace('kernel-mtty/matrix.ndjson'), '')).toBe(0);
    expect(reader.detect(Buffer.from('{"kind":"set_state"}'), '')).toBe(0);
    expect(() => reader.detect(Buffer.from('{"schema":"stopcopy-uapi-2"}\n'), '')).toThrow(/stopcopy-uapi-2/);
  });
});

describe('a recording of the recorder', () => {
  const walk = () => feed(reader, trace('recorder/walk.uapi.ndjson'));

  it('names devices as they were opened', () => {
    const { events, counts, cut } = walk();
    expect(cut).toBe(false);
    expect(counts.malformed).toBe(0);
    expect(counts.unknown.size).toBe(0);
    expect(new Set(events.map((event) => ('device' in event ? event.device : '')))).toEqual(
      new Set(['11111111-1111-4111-8111-111111111111']),
    );
    expect(tally(events)).toEqual({
      device_open: 2,
      capabilities: 2,
      feature_probe: 2,
      precopy_info_v2: 1,
      data_size: 1,
      dma_logging_start: 1,
      dma_logging_report: 1,
      dma_logging_stop: 1,
      set_state: 11,
      set_state_result: 11,
      get_state: 3,
      precopy_info: 2,
      data_read: 8,
      data_write: 1,
      data_close: 2,
      reset: 2,
    });
  });

  it('keeps what the prototype did not record', () => {
    const { events } = walk();
    expect(only(events, 'dma_logging_start')[0]).toMatchObject({ ranges: 2, pageSize: 4096, errno: 0 });
    // 2^60 is not exact as a number of JSON
    expect(only(events, 'dma_logging_report')[0]).toMatchObject({
      iova: '0x1000000000000000',
      length: 0x100000,
      pageSize: 4096,
      errno: 95,
    });
    expect(only(events, 'reset').map((event) => event.errno)).toEqual([0, 25]);
  });

  it('was cut when its trailer is missing', () => {
    const whole = trace('recorder/walk.uapi.ndjson').toString();
    expect(feed(reader, whole.slice(0, whole.indexOf('{"ev":"end"'))).cut).toBe(true);
    expect(feed(reader, `${HEAD}${END}`).cut).toBe(false);
    expect(feed(reader, HEAD + END.slice(0, 12))).toMatchObject({ cut: true, counts: { malformed: 1 } });
  });

  it('shows opened devices, which the prototype does not', () => {
    const shows = (text: string) => {
      const parser = reader.open({ file: 'f', host: 'h', emit() {}, remark() {} });
      parser.write(Buffer.from(text));
      parser.end();
      return parser.shows?.has('device_open');
    };
    expect(shows(HEAD + END)).toBe(true);
    expect(shows('{"ev":"begin"}\n')).toBe(false);
  });
});

describe('records', () => {
  it('puts the records of several CPUs in order', () => {
    const set = (t: number, state: number) =>
      feature({ t, flags: SET | 2, in: state, out: state, data_fd: -1 });
    const { events } = feed(reader, HEAD + set(9000, 3) + set(2000, 6) + set(5000, 7) + END);
    expect(only(events, 'set_state').map((event) => event.state)).toEqual([
      'PRE_COPY',
      'PRE_COPY_P2P',
      'STOP_COPY',
    ]);
    expect(events[0]).toMatchObject({ kind: 'set_state', t: 2, line: 3, thread: 8 });
    expect(events[1]).toMatchObject({ kind: 'set_state_result', t: 2.5, state: 'PRE_COPY', dataFd: false });
  });

  it('takes a step back of the clock as a new recording', () => {
    const probe = (t: number) => feature({ t, flags: 0x40000 | 2 });
    const { events } = feed(reader, probe(3e13) + probe(1e9) + probe(2e9));
    expect(events.map((event) => event.line)).toEqual([1, 2, 3]);
  });

  it('follows data_fds through close and reuse', () => {
    const set = (fd: number) => feature({ fd, dur: 0, flags: SET | 2, in: 6, out: 6, data_fd: 9 });
    const read = record('data_read', { fd: 9, count: 10, ret: -42 });
    const close = record('data_close', { fd: 9 });
    const { events, remarks } = feed(reader, set(17) + read + close + read + set(18) + read + close);
    const seen = events.filter((event) => event.kind === 'data_read' || event.kind === 'data_close');
    expect(seen).toMatchObject([
      { kind: 'data_read', device: 'fd 17', result: -42 },
      { kind: 'data_close', device: 'fd 17' },
      { kind: 'data_read', device: 'fd 18' },
      { kind: 'data_close', device: 'fd 18' },
    ]);
    expect(remarks).toEqual([expect.stringMatching(/^1 calls on data_fds/)]);
  });

  it('ignores flags that the kernel refuses, and features of no concern', () => {
    const lines = [GET | SET | 2, 2, 0x80000 | GET | 2, GET | 0, SET | 99, 1];
    const { events, counts } = feed(
      reader,
      lines.map((flags) => feature({ flags, in: 1, out: 1, ret: -22 })).join(''),
    );
    expect(events).toEqual([]);
    expect(countsText(counts)).toBe('6 = 0 + 6 + 0');
  });

  it('leaves out what a failed call did not show', () => {
    const { events } = feed(
      reader,
      feature({ flags: SET | 2, in: 4294967295, out: 3, data_fd: 5, ret: -22 }) +
        feature({ flags: GET | 2, out: 3, ret: -19 }) +
        feature({ flags: GET | 9, out: 60, ret: -95 }) +
        feature({ flags: GET | 1, out: 7, ret: -25 }) +
        feature({ flags: GET | 9, out: 2 ** 64, ret: 0 }),
    );
    const bare = events.map(({ host, file, line, thread, t, ...rest }) => rest);
    expect(bare).toEqual([
      { kind: 'set_state', device: 'fd 17', state: 4294967295 },
      { kind: 'set_state_result', device: 'fd 17', errno: 22, dataFd: false },
      { kind: 'get_state', device: 'fd 17', errno: 19 },
      { kind: 'data_size', device: 'fd 17', errno: 95 },
      { kind: 'data_size', device: 'fd 17', errno: 0 },
    ]);
  });

  it('reads past a name that breaks its line', () => {
    const open = '{"t":5000,"pid":7,"tid":8,"ev":"device_open","fd":17,"ret":17,"dur":1,"name":"a"b\\"}\n';
    const reset = '{"t":6000,"pid":7,"tid":8,"ev":"device_reset","fd":17,"ret":0,"dur":1,"comm":"x"\\y"}\n';
    const { events, counts } = feed(reader, HEAD + open + reset + END);
    expect(counts.malformed).toBe(0);
    expect(events).toMatchObject([
      { kind: 'device_open', device: 'fd 17' },
      { kind: 'reset', device: 'fd 17', errno: 0 },
    ]);
  });

  it('counts what it cannot read', () => {
    const { counts, events } = feed(
      reader,
      [
        '{"t":1,"pid":7,"ev":"vfio_device_feature","fd":1,"flags":"x","ret":0}',
        '{"t":1,"ev":"data_close","fd":1}',
        '{"t":1,"pid":7,"ev":"device_reset"}',
        '{not json',
        '[]',
        '@data[190, 0]: 1',
        '{"t":1,"pid":7,"ev":"novel","fd":1}',
        '',
      ].join('\n'),
    );
    expect(events).toEqual([]);
    expect(countsText(counts)).toBe('7 = 0 + 3 + 4');
    expect([...counts.unknown]).toEqual([['novel', 1]]);
  });

  it('says when bpftrace lost records', () => {
    expect(feed(reader, `${HEAD}Lost 12 events\nLost 3 events\n${END}`).remarks).toEqual([
      expect.stringContaining('lost 15 records'),
    ]);
  });

  it('emits only what somebody listens to', () => {
    const { events, counts } = feed(reader, qemu('happy-default'), {
      wants: new Set(['data_write'] as const),
    });
    expect(tally(events)).toEqual({ data_write: 2 });
    expect(counts.decoded).toBe(2);
  });

  it('forgets the descriptors of a process that has ended', () => {
    const open = record('device_open', { ret: 17, name: '0000:01:00.0' });
    const { events } = feed(
      reader,
      HEAD + open + record('process_exit', { t: 6000 }) + record('device_reset', { t: 7000, ret: 0 }) + END,
    );
    expect(events).toMatchObject([{ device: '0000:01:00.0' }, { kind: 'reset', device: 'fd 17' }]);
  });

  it('never throws', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record(
            {
              t: fc.double(),
              dur: fc.double(),
              pid: fc.integer(),
              fd: fc.integer(),
              ev: fc.constantFrom(
                'vfio_device_feature',
                'data_read',
                'data_close',
                'precopy_info',
                'device_open',
              ),
              flags: fc.nat(0x7ffff),
              in: fc.nat(9),
              out: fc.nat(9),
              data_fd: fc.integer(),
              ret: fc.integer({ min: -100, max: 100 }),
              name: fc.string(),
            },
            { requiredKeys: [] },
          ),
        ),
        (records) => {
          const { counts } = feed(reader, records.map((each) => `${JSON.stringify(each)}\n`).join(''));
          expect(counts.decoded + counts.ignored + counts.malformed).toBe(records.length);
        },
      ),
    );
  });
});
