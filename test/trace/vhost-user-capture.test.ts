import { describe, expect, it } from 'vitest';
import { vhostUserCaptureReader as reader } from '../../src/trace/readers/vhost-user-capture.js';
import { ERRNO } from '../../src/uapi/errno.js';
import { VHOST_USER_REQUESTS } from '../../src/uapi/vhost-user.js';
import { countsText, expectSameHoweverCut, feed, only, tally, trace } from './feed.js';
import { CAPTURE_HEAD, captureLine, captureOf, messageOf, payloadOf } from './vhost-user-messages.js';

const REPLY = 5;
const NEED_REPLY = 9;

/** Events of messages, without those of the messages themselves and of the connection. */
function eventsOf(...lines: string[]) {
  const { events, counts } = feed(reader, CAPTURE_HEAD + lines.join(''));
  expect(counts.malformed).toBe(0);
  return events.filter(({ kind }) => kind !== 'vhost_message' && kind !== 'vhost_open');
}

const front = (...message: Parameters<typeof messageOf>) => captureLine(1, 'f2b', messageOf(...message));
const back = (...message: Parameters<typeof messageOf>) => captureLine(2, 'b2f', messageOf(...message));
/** SET_PROTOCOL_FEATURES with these bits. */
const protocol = (...bits: number[]) =>
  front('SET_PROTOCOL_FEATURES', 1, payloadOf(bits.reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n)));

describe('a whole connection', () => {
  const capture = captureOf(trace('vhost/strace/vhost-user-both-ends.strace.gz'));

  it('is told message by message, and request by request', () => {
    const { events, counts, cut } = feed(reader, capture);
    expect(cut).toBe(false);
    expect(countsText(counts)).toBe('45 = 44 + 1 + 0');
    expect(tally(events)).toEqual({
      vhost_open: 1,
      vhost_message: 43,
      vhost_offered: 2,
      vhost_set_protocol_features: 1,
      vhost_set_owner: 1,
      vhost_set_features: 2,
      vhost_mem_table: 1,
      vring_num: 2,
      vring_base: 2,
      vring_addr: 4,
      vring_kick_fd: 2,
      vring_call_fd: 2,
      vring_enable: 2,
      vhost_log_base: 1,
      vring_base_read: 2,
      vhost_state_fd: 1,
      vhost_state_check: 1,
      vhost_close: 1,
    });
    expect(only(events, 'vhost_mem_table')).toMatchObject([
      {
        device: 'vhost-user',
        interface: 'user',
        regions: [
          { gpa: 0, size: 0xa0000 },
          { gpa: 0x100000, size: 0x1000000 },
        ],
        errno: 0,
      },
    ]);
    expect(only(events, 'vring_addr')[2]).toMatchObject({
      index: 0,
      log: true,
      logGuestAddr: 0x2000,
      errno: 0,
    });
    expect(only(events, 'vring_base_read')).toMatchObject([
      { index: 0, num: 35, errno: 0 },
      { index: 1, num: 36, errno: 0 },
    ]);
    expect(only(events, 'vhost_state_fd')).toMatchObject([{ direction: 'save', errno: 0 }]);
    expect(events.at(-1)).toMatchObject({ kind: 'vhost_close', lost: false });
  });

  it('is read up to where it was cut', () => {
    const whole = feed(reader, capture);
    const { events, cut, counts } = feed(reader, capture.subarray(0, capture.indexOf('"b2f"') + 60));
    expect(cut).toBe(true);
    expect(counts.malformed).toBe(1);
    expect(events).toEqual(whole.events.slice(0, events.length));
    expect(tally(events)).toEqual({ vhost_open: 1, vhost_message: 1 });
  });

  it('gives the same however the blocks are cut', () => {
    expectSameHoweverCut(reader, capture);
  });
});

describe('requests', () => {
  it('that are answered are told at the answer, with its result', () => {
    const ask = front('SET_DEVICE_STATE_FD', 1, payloadOf(1, 0));
    expect(eventsOf(ask)).toEqual([]);
    expect(eventsOf(ask, back('SET_DEVICE_STATE_FD', REPLY, payloadOf(0x100n)))).toMatchObject([
      { kind: 'vhost_state_fd', direction: 'load', errno: 0, t: 2 },
    ]);
    expect(eventsOf(ask, back('SET_DEVICE_STATE_FD', REPLY, payloadOf(0x101n)))).toMatchObject([
      { kind: 'vhost_state_fd', direction: 'load', errno: ERRNO.EIO },
    ]);
  });

  it('that are not answered are told at once, without a result', () => {
    const [event, ...more] = eventsOf(front('SET_VRING_NUM', 1, payloadOf(1, 256)));
    expect(event).toMatchObject({ kind: 'vring_num', index: 1, num: 256, t: 1 });
    expect(event).not.toHaveProperty('errno');
    expect(more).toEqual([]);
  });

  it('need_reply counts only where REPLY_ACK was negotiated', () => {
    const ask = front('SET_VRING_ENABLE', NEED_REPLY, payloadOf(0, 1));
    expect(eventsOf(protocol(0), ask).map(({ kind }) => kind)).toEqual([
      'vhost_set_protocol_features',
      'vring_enable',
    ]);
    expect(eventsOf(protocol(3), ask).map(({ kind }) => kind)).toEqual(['vhost_set_protocol_features']);
    expect(eventsOf(protocol(3), ask, back('SET_VRING_ENABLE', REPLY, payloadOf(1n)))[1]).toMatchObject({
      kind: 'vring_enable',
      on: true,
      errno: ERRNO.EIO,
    });
  });

  it('SET_LOG_BASE is answered with LOG_SHMFD, with whatever payload', () => {
    const ask = front('SET_LOG_BASE', 1, payloadOf(65536n, 0n));
    expect(eventsOf(protocol(1), ask)).toHaveLength(1);
    expect(eventsOf(protocol(1), ask, back('SET_LOG_BASE', REPLY, payloadOf(65536n)))[1]).toMatchObject({
      kind: 'vhost_log_base',
      size: 65536,
      errno: 0,
    });
    expect(eventsOf(protocol(0), ask)[1]).toMatchObject({ kind: 'vhost_log_base', size: 65536 });
  });

  it('that were passed over by an answer to a later one are told without a result', () => {
    const events = eventsOf(
      front('SET_OWNER', NEED_REPLY),
      front('GET_FEATURES', 1),
      back('GET_FEATURES', REPLY, payloadOf(1n << 26n)),
    );
    expect(events).toMatchObject([{ kind: 'vhost_set_owner' }, { kind: 'vhost_offered', features: 1 << 26 }]);
    expect(events[0]).not.toHaveProperty('errno');
  });

  it('in post-copy a memory table is answered with one, and acknowledged', () => {
    const region = [0n, 4096n, 0x7f0000000000n, 0n];
    const table = payloadOf(1, 0, ...region);
    const events = eventsOf(
      front('POSTCOPY_ADVISE', 1),
      captureLine(2, 'b2f', messageOf('POSTCOPY_ADVISE', REPLY), 1),
      front('POSTCOPY_LISTEN', 1),
      front('SET_MEM_TABLE', 1, table),
      back('SET_MEM_TABLE', REPLY, table),
      front('SET_MEM_TABLE', 1, payloadOf(0n)),
      front('POSTCOPY_END', 1),
      back('POSTCOPY_END', REPLY, payloadOf(0n)),
    );
    expect(events).toMatchObject([
      { kind: 'vhost_postcopy', step: 'advise', errno: 0 },
      { kind: 'vhost_postcopy', step: 'listen' },
      { kind: 'vhost_mem_table', regions: [{ gpa: 0, size: 4096 }], errno: 0 },
      { kind: 'vhost_postcopy', step: 'end', errno: 0 },
    ]);
  });

  it.each([
    [
      front('ADD_MEM_REG', 1, payloadOf(0n, 0x1000n, 0x2000n, 0n, 0n)),
      { kind: 'vhost_mem_table', change: 'add' },
    ],
    [
      front('REM_MEM_REG', 1, payloadOf(0n, 0x1000n, 0x2000n, 0n, 0n)),
      { kind: 'vhost_mem_table', change: 'remove' },
    ],
    [front('SET_VRING_KICK', 1, payloadOf(0x103n)), { kind: 'vring_kick_fd', index: 3, attached: false }],
    [front('SET_VRING_CALL', 1, payloadOf(2n)), { kind: 'vring_call_fd', index: 2, attached: true }],
    [front('VRING_KICK', 1, payloadOf(1, 0)), { kind: 'vring_kick', index: 1 }],
    [
      front('SET_CONFIG', 1, payloadOf(4, 2, 1)),
      { kind: 'vhost_config', write: true, offset: 4, migration: true },
    ],
    [front('RESET_DEVICE', 1), { kind: 'vhost_reset_device' }],
    [front('RESET_OWNER', 1), { kind: 'vhost_reset_owner' }],
    [front('SET_LOG_FD', 1), { kind: 'vhost_log_fd' }],
    [front('SEND_RARP', 1, payloadOf(0x563412005452n)), { kind: 'vhost_rarp' }],
    [
      front('SET_INFLIGHT_FD', 1, payloadOf(8192n, 0n, 2 | (256 << 16))),
      { kind: 'vhost_inflight', set: true, queues: 2, queueSize: 256 },
    ],
    [
      front('SET_VRING_ADDR', 1, payloadOf(1, 1, 1n, 2n, 3n, 1n << 60n)),
      {
        kind: 'vring_addr',
        index: 1,
        log: true,
        desc: 1,
        used: 2,
        avail: 3,
        logGuestAddr: '0x1000000000000000',
      },
    ],
  ])('%#: one that is told at once', (line, event) => {
    expect(eventsOf(line)).toMatchObject([event]);
  });

  it('GET_CONFIG fails by an empty answer, IOTLB_MSG by its status', () => {
    const ask = front('GET_CONFIG', 1, payloadOf(0, 8, 0));
    expect(eventsOf(ask, back('GET_CONFIG', REPLY))).toMatchObject([{ write: false, errno: ERRNO.EIO }]);
    const update = Buffer.concat([payloadOf(0x1000n, 0x2000n, 0n), Buffer.from([3, 2])]);
    expect(eventsOf(front('IOTLB_MSG', 1, update), back('IOTLB_MSG', REPLY, payloadOf(0n)))).toMatchObject([
      { kind: 'vhost_iotlb', type: 'update', iova: 0x1000, size: 0x2000, errno: 0 },
    ]);
  });

  it('that end before their fields say what is there', () => {
    expect(eventsOf(front('SET_VRING_ENABLE', 1, payloadOf(1)))).toEqual([]);
    expect(eventsOf(front('SET_VRING_ADDR', 1, payloadOf(1, 1)))).toMatchObject([{ index: 1, log: true }]);
    expect(eventsOf(front('SET_MEM_TABLE', 1, payloadOf(0xffffffff, 0)))[0]).not.toHaveProperty('regions');
  });

  it('that nobody knows are a message with a number', () => {
    const { events, counts } = feed(reader, CAPTURE_HEAD + captureLine(1, 'f2b', messageOf(999, 1)));
    expect(only(events, 'vhost_message')).toMatchObject([{ request: 999 }]);
    expect([...counts.unknown]).toEqual([['request 999', 1]]);
  });

  it('every request is taken, with and without an answer', () => {
    for (const [name, number] of Object.entries(VHOST_USER_REQUESTS))
      for (const payload of [Buffer.alloc(0), Buffer.alloc(40, 1), Buffer.alloc(4096, 0xff)]) {
        const lines = CAPTURE_HEAD + front(number, NEED_REPLY, payload) + back(number, REPLY, payload);
        const { events, counts } = feed(reader, lines);
        expect(counts.malformed, name).toBe(0);
        expect(only(events, 'vhost_message')).toHaveLength(2);
      }
  });
});

describe('what is no message', () => {
  it.each([
    '{"t":1,"dir":"f2b","hex":"01"}',
    '{"t":1,"dir":"f2b","hex":"zz0000000100000000000000"}',
    '{"t":1,"dir":"up","hex":"010000000100000000000000"}',
    '{"t":1,"dir":"f2b","hex":"010000000100000008000000"}',
    '{"t":1,"dir":"f2b","hex":"010000000100000000000000","fds":-1}',
    '{"dir":"f2b","hex":"010000000100000000000000"}',
    '{"t":1,"closed":"door"}',
    'text',
  ])('%s is malformed', (line) => {
    const { events, counts } = feed(reader, `${CAPTURE_HEAD}${line}\n`);
    expect(events).toEqual([]);
    expect(counts.malformed).toBe(1);
  });

  it('the end of one side is told once, with who it was', () => {
    const ends = '{"t":5,"closed":"back"}\n{"t":6,"closed":"front"}\n';
    expect(eventsOf(front('SET_OWNER', 1), ends).at(-1)).toMatchObject({
      kind: 'vhost_close',
      lost: true,
      t: 5,
    });
  });
});
