import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { vfioUserReader as reader } from '../../src/trace/readers/vfio-user.js';
import { FEATURE_FLAGS, FEATURES } from '../../src/uapi/vfio.js';
import { encodeVfioUserMessage, VFIO_USER_COMMANDS, type VfioUserCommand } from '../../src/uapi/vfio-user.js';
import { countsText, feed, only, tally, trace } from './feed.js';

const NOFD_SRC = trace('vfio-user/nofd/src.jsonl.gz');
const NOFD_DST = trace('vfio-user/nofd/dst.jsonl');
const PAIR_SRC = trace('vfio-user/pair/src.jsonl.gz');
const PAIR_DST = trace('vfio-user/pair/dst.jsonl.gz');

/** One line of a capture. */
function line(
  dir: 'c2s' | 's2c',
  command: VfioUserCommand | number,
  payload: Uint8Array,
  more: { id?: number; failed?: boolean; errno?: number; noReply?: boolean; reply?: boolean } = {},
): string {
  const number = typeof command === 'number' ? command : VFIO_USER_COMMANDS[command];
  const bytes = encodeVfioUserMessage(
    {
      msgId: more.id ?? 1,
      command: number,
      type: (more.reply ?? dir === 's2c') ? 'reply' : 'command',
      noReply: more.noReply ?? false,
      failed: more.failed ?? false,
      errno: more.errno ?? 0,
    },
    payload,
  );
  return `${JSON.stringify({ t: 1.5, dir, hex: Buffer.from(bytes).toString('hex') })}\n`;
}

function words(...values: number[]): Buffer {
  const out = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => {
    out.writeUInt32LE(value >>> 0, index * 4);
  });
  return out;
}

const SET_STATE = FEATURES.MIG_DEVICE_STATE | FEATURE_FLAGS.SET;

describe('recorded captures', () => {
  it('reads the source of a migration without descriptors', () => {
    const { events, counts, cut, remarks } = feed(reader, NOFD_SRC);
    expect(cut).toBe(false);
    expect(countsText(counts)).toBe('60 = 19 + 41 + 0');
    expect(tally(events)).toEqual({
      device_open: 1,
      set_state: 3,
      set_state_result: 3,
      get_state: 3,
      data_read: 9,
    });
    expect(only(events, 'set_state').map((e) => e.state)).toEqual(['PRE_COPY', 'STOP_COPY', 'STOP']);
    expect(only(events, 'get_state').map((e) => e.state)).toEqual(['PRE_COPY', 'STOP_COPY', 'STOP']);
    expect(only(events, 'set_state_result').every((e) => e.errno === 0)).toBe(true);
    // The size field counts, not the padded message: see the zero at the end of each phase.
    expect(only(events, 'data_read').map((e) => e.result)).toEqual([
      4096, 4096, 4096, 0, 4096, 4096, 4096, 8, 0,
    ]);
    expect(remarks).toEqual(['libvfio-user dialect: version 0.2, offers migration unasked']);
  });

  it('reads the destination of a migration without descriptors', () => {
    const { events, counts } = feed(reader, NOFD_DST);
    expect(countsText(counts)).toBe('30 = 14 + 16 + 0');
    expect(only(events, 'set_state').map((e) => e.state)).toEqual(['RESUMING', 'STOP', 'RUNNING']);
    expect(only(events, 'data_write').map((e) => [e.size, e.result])).toEqual([
      [4096, 4096],
      [4096, 4096],
      [4096, 4096],
      [8, 8],
    ]);
    expect(events[0]).toEqual({
      kind: 'device_open',
      t: 29057,
      host: 'src',
      file: 'input',
      line: 2,
      device: 'vfio-user',
    });
  });

  it('reads the dirty reports of the sample client', () => {
    const { events, counts } = feed(reader, PAIR_SRC);
    expect(counts.malformed).toBe(0);
    expect(tally(events)).toEqual({
      device_open: 1,
      reset: 1,
      set_state: 3,
      set_state_result: 3,
      dma_logging_start: 1,
      dma_logging_stop: 1,
      dma_logging_report: 16,
      data_read: 25,
    });
    expect(only(events, 'dma_logging_start')[0]).toMatchObject({ ranges: 0, pageSize: 4096, errno: 0 });
    expect(only(events, 'dma_logging_report').map((e) => e.iova)).toEqual(
      Array.from({ length: 16 }, (_, index) => index * 4096),
    );
    expect(tally(feed(reader, PAIR_DST).events)).toEqual({
      device_open: 1,
      set_state: 3,
      set_state_result: 3,
      data_write: 13,
    });
  });

  it('gives the same events however blocks are cut', () => {
    const whole = feed(reader, NOFD_DST).events;
    fc.assert(
      fc.property(fc.array(fc.nat(NOFD_DST.length), { maxLength: 20 }), (cuts) => {
        expect(feed(reader, NOFD_DST, { cuts }).events).toEqual(whole);
      }),
      { numRuns: 50 },
    );
  });

  it('skips what nobody listens to', () => {
    const { events, counts } = feed(reader, NOFD_SRC, { wants: new Set(['set_state']) });
    expect(tally(events)).toEqual({ set_state: 3 });
    expect(countsText(counts)).toBe('60 = 3 + 57 + 0');
  });
});

describe('answers', () => {
  it('tells a refused request, with or without payload', () => {
    for (const payload of [words(16, SET_STATE, 5, 0), Buffer.alloc(0)]) {
      const { events } = feed(
        reader,
        line('c2s', 'DEVICE_FEATURE', words(16, SET_STATE, 5, 0)) +
          line('s2c', 'DEVICE_FEATURE', payload, { failed: true, errno: 22 }),
      );
      expect(events).toMatchObject([
        { kind: 'set_state', state: 'RUNNING_P2P', line: 1 },
        { kind: 'set_state_result', errno: 22, line: 2 },
      ]);
      expect(events[1]).not.toHaveProperty('state');
    }
  });

  it('keeps a state that no header knows as a number', () => {
    const { events } = feed(reader, line('c2s', 'DEVICE_FEATURE', words(16, SET_STATE, 43981, 0)));
    expect(events).toMatchObject([{ kind: 'set_state', state: 43981 }]);
  });

  it('takes a SET without descriptor, as libvfio-user does', () => {
    const { events } = feed(reader, line('c2s', 'DEVICE_FEATURE', words(12, SET_STATE, 1)));
    expect(events).toMatchObject([{ kind: 'set_state', state: 'STOP' }]);
  });

  it('shows a failure without a number as EIO and says so once', () => {
    const reset = line('c2s', 'DEVICE_RESET', Buffer.alloc(0));
    const failed = line('s2c', 'DEVICE_RESET', Buffer.alloc(0), { failed: true });
    const { events, remarks } = feed(reader, reset + failed + reset + failed);
    expect(events).toMatchObject([
      { kind: 'reset', errno: 5 },
      { kind: 'reset', errno: 5 },
    ]);
    expect(remarks).toHaveLength(1);
  });

  it('matches replies to commands by id, and never to commands of the server', () => {
    const { events } = feed(
      reader,
      line('c2s', 'MIG_DATA_READ', words(4104, 4096), { id: 7 }) +
        line('s2c', 'DMA_READ', Buffer.alloc(16), { id: 7, reply: false }) +
        line('c2s', 'DMA_READ', Buffer.alloc(16), { id: 7, reply: true }) +
        line('s2c', 'MIG_DATA_READ', words(8, 0), { id: 8 }) +
        line('s2c', 'MIG_DATA_READ', words(12, 4, 0xabcd), { id: 7 }),
    );
    expect(events).toMatchObject([{ kind: 'data_read', size: 4096, result: 4, line: 5 }]);
  });

  it('reads probes, capabilities and failed transfers', () => {
    const probe = FEATURES.DMA_LOGGING_START | FEATURE_FLAGS.SET | FEATURE_FLAGS.PROBE;
    const { events } = feed(
      reader,
      line('c2s', 'DEVICE_FEATURE', words(8, probe)) +
        line('s2c', 'DEVICE_FEATURE', words(8, probe)) +
        line('c2s', 'DEVICE_FEATURE', words(16, FEATURES.MIGRATION | FEATURE_FLAGS.GET)) +
        line('s2c', 'DEVICE_FEATURE', words(16, FEATURES.MIGRATION | FEATURE_FLAGS.GET, 5, 0)) +
        line('c2s', 'MIG_DATA_WRITE', words(12, 4, 1)) +
        line('s2c', 'MIG_DATA_WRITE', Buffer.alloc(0), { failed: true, errno: 14 }),
    );
    expect(events).toMatchObject([
      { kind: 'feature_probe', feature: 6, errno: 0 },
      { kind: 'capabilities', flags: 5 },
      { kind: 'data_write', size: 4, result: -14 },
    ]);
  });
});

describe('input that lies', () => {
  const good = line('c2s', 'DEVICE_FEATURE', words(16, SET_STATE, 1, 0)).trim();
  const cases: Record<string, string> = {
    'no JSON': '{"dir": "c2s", "hex"',
    'no object': '[1]',
    'no direction': '{"hex": "00"}',
    'no hexadecimal': good.replace(/"hex":"../, '"hex":"zz'),
    'odd digits': good.replace(/"}$/, '0"}'),
    'short header': '{"dir":"c2s","hex":"0102"}',
    'size above the bytes': good.replace('1000200000', '1000210000'),
    'size below the header': good.replace('1000200000', '1000080000'),
    'a recorder that disagrees': good.replace('{', '{"msg_id": 2, '),
    'an unknown type': good.replace('0000000000000000', '0200000000000000'),
    'a SET without data': line('c2s', 'DEVICE_FEATURE', words(8, SET_STATE)).trim(),
    'a write with less data than it says': line('c2s', 'MIG_DATA_WRITE', words(4104, 4096, 1)).trim(),
  };
  it.each(Object.entries(cases))('%s is malformed', (_name, text) => {
    const { events, counts } = feed(reader, `${text}\n`);
    expect(countsText(counts)).toBe('1 = 0 + 0 + 1');
    expect(events).toEqual([]);
  });

  it('refuses a read reply that holds less than it says', () => {
    const { counts } = feed(
      reader,
      line('c2s', 'MIG_DATA_READ', words(4104, 4096)) + line('s2c', 'MIG_DATA_READ', words(4104, 4096, 1)),
    );
    expect(counts.malformed).toBe(1);
  });

  it('reads the head of a message that is longer than a line may be', () => {
    const size = 1 << 20;
    const payload = Buffer.alloc(8 + size);
    payload.writeUInt32LE(8 + size, 0);
    payload.writeUInt32LE(size, 4);
    const { events, counts } = feed(
      reader,
      line('c2s', 'MIG_DATA_READ', words(8 + size, size)) + line('s2c', 'MIG_DATA_READ', payload),
    );
    expect(counts.malformed).toBe(0);
    expect(events).toMatchObject([{ kind: 'data_read', size, result: size }]);
  });

  it('counts commands that nobody knows', () => {
    const { counts } = feed(reader, line('c2s', 14, Buffer.alloc(4)));
    expect([...counts.unknown]).toEqual([['command 14', 1]]);
  });

  it('tells a cut input', () => {
    expect(feed(reader, good.slice(0, 40)).cut).toBe(true);
    expect(feed(reader, good)).toMatchObject({ cut: false, counts: { decoded: 1 } });
  });

  it('never throws, whatever the bytes of a message are', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            dir: fc.constantFrom('c2s', 's2c'),
            bytes: fc.uint8Array({ maxLength: 64 }),
            fix: fc.boolean(),
          }),
        ),
        (messages) => {
          const text = messages.map(({ dir, bytes, fix }) => {
            const body = Buffer.from(bytes);
            if (fix && body.length >= 16) {
              body.writeUInt16LE(body.readUInt16LE(2) % 20, 2);
              body.writeUInt32LE(body.length, 4);
              body.writeUInt32LE(body[8]! & 0x31, 8);
            }
            return `${JSON.stringify({ dir, hex: body.toString('hex') })}\n`;
          });
          const { counts } = feed(reader, text.join(''));
          expect(counts.lines).toBe(counts.decoded + counts.ignored + counts.malformed);
        },
      ),
    );
  });
});

describe('detection', () => {
  it('is certain of a capture, also when the first message is longer than the head', () => {
    expect(reader.detect(NOFD_SRC.subarray(0, 65536), 'x')).toBe(1);
    expect(reader.detect(NOFD_SRC.subarray(0, 200), 'x')).toBe(1);
  });

  it('leaves other JSON lines alone', () => {
    for (const other of [
      '{"schema":"stopcopy-trace-1"}',
      '{"t":1,"ev":"begin"}',
      '{"QMP":{"version":{}}}',
      '{"t": 1.5, "k": "cmd", "msg": {"execute": "quit"}}',
      '',
      'text',
    ]) {
      expect(reader.detect(Buffer.from(other), 'x')).toBe(0);
    }
  });
});
