import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { qmpReader as reader } from '../../src/trace/readers/qmp.js';
import { countsText, feed, only, tally, trace } from './feed.js';

const qmp = (path: string) => trace(`${path}.qmp.ndjson`);
const states = (path: string) => only(feed(reader, qmp(path)).events, 'set_state_result').map((e) => e.state);
const lines = (...messages: unknown[]) => messages.map((message) => `${JSON.stringify(message)}\n`).join('');
const stamp = { seconds: 100, microseconds: 7 };

describe('recorded streams', () => {
  it('reads the source of a migration', () => {
    const { events, counts, cut } = feed(reader, qmp('qemu-11.1/happy-default/src'));
    expect(cut).toBe(false);
    expect(countsText(counts)).toBe('76 = 32 + 44 + 0');
    expect(counts.unknown.size).toBe(0);
    expect(tally(events)).toEqual({
      vmm_version: 1,
      capability: 1,
      migration_status: 4,
      set_state_result: 4,
      qmp_stop: 1,
      migration_info: 21,
    });
    expect(events[0]).toMatchObject({ name: 'QEMU', version: '11.1.2', t: 1795224568242388 });
    expect(only(events, 'migration_status').map((e) => e.status)).toEqual([
      'setup',
      'active',
      'device',
      'completed',
    ]);
    expect(only(events, 'set_state_result')[0]).toEqual({
      kind: 'set_state_result',
      t: 1795224577820076,
      host: 'src',
      file: 'input',
      line: 17,
      device: 'vf0',
      state: 'PRE_COPY',
    });
    expect(only(events, 'migration_info').at(-1)).toMatchObject({
      status: 'completed',
      totalTime: 4609,
      downtime: 320,
      setupTime: 311,
      vfioTransferred: 60,
    });
  });

  it('reads the states of every stream', () => {
    const end = ['RUNNING_P2P', 'STOP'];
    expect(states('qemu-11.1/happy-default/src')).toEqual(['PRE_COPY', 'PRE_COPY_P2P', 'STOP_COPY', 'STOP']);
    expect(states('qemu-11.1/happy-default/dst')).toEqual(['RESUMING', 'RUNNING_P2P', 'RUNNING', ...end]);
    expect(states('qemu-10.0/happy-default/src')).toEqual(['PRE_COPY', 'PRE_COPY_P2P', 'STOP_COPY', 'STOP']);
    expect(states('qemu-10.0/happy-default/dst')).toEqual(['RESUMING', 'RUNNING_P2P', 'RUNNING', ...end]);
    expect(states('qemu-11.1/paused-migrate/src')).toEqual([...end, 'STOP_COPY', 'STOP']);
    expect(states('qemu-11.1/paused-migrate/dst')).toEqual(['RESUMING', 'RUNNING_P2P', 'RUNNING', ...end]);
    expect(states('qemu-11.1/cancel-pre-switchover/dst')).toEqual(['RESUMING']);
    expect(states('qemu-11.1/postcopy-cap/src')).toEqual(end);
    expect(states('qemu-11.1/postcopy-cap/dst')).toEqual([]);
  });

  it('reads a cancelled migration', () => {
    const { events, counts } = feed(reader, qmp('qemu-11.1/cancel-pre-switchover/src'));
    expect(counts.malformed).toBe(0);
    expect(tally(events)).toMatchObject({
      capability: 2,
      migration_cancel: 1,
      migration_status: 5,
      set_state_result: 8,
      qmp_stop: 1,
      qmp_resume: 1,
    });
    expect(only(events, 'set_state_result').map((e) => e.state)).toEqual([
      'PRE_COPY',
      'PRE_COPY_P2P',
      'STOP_COPY',
      'RUNNING',
      'RUNNING_P2P',
      'RUNNING',
      'RUNNING_P2P',
      'STOP',
    ]);
    expect(only(events, 'migration_info').at(-1)).toMatchObject({
      status: 'cancelled',
      error: 'Switchover is interrupted',
    });
  });

  it('tells what was refused, and nothing of a migration that never was', () => {
    const { events, remarks } = feed(reader, qmp('qemu-11.1/postcopy-cap/src'));
    expect(tally(events)).toEqual({ vmm_version: 1, capability: 2, set_state_result: 2 });
    expect(remarks).toEqual([
      'migrate was refused: 11111111-1111-4111-8111-111111111111: VFIO migration is not supported with postcopy migration',
      'migrate-start-postcopy was refused: Postcopy must be started after migration has been started',
    ]);
  });

  it('reads resets of the machine', () => {
    const { events } = feed(reader, qmp('qemu-11.1/reset-mid-precopy/src'));
    expect(only(events, 'vm_reset').map((e) => e.t)).toEqual([1795224908589414, 1795224911828482]);
  });

  it('gives the same events however blocks are cut', () => {
    const input = qmp('qemu-11.1/happy-default/dst');
    const whole = feed(reader, input).events;
    fc.assert(
      fc.property(fc.array(fc.nat(input.length), { maxLength: 20 }), (cuts) => {
        expect(feed(reader, input, { cuts }).events).toEqual(whole);
      }),
      { numRuns: 50 },
    );
  });
});

describe('forms of a line', () => {
  const event = { timestamp: stamp, event: 'STOP' };
  it.each([
    ['bare', JSON.stringify(event)],
    ['with an arrow', `<- ${JSON.stringify(event)}`],
    ['wrapped', JSON.stringify({ t: 5, k: 'event', msg: event })],
    [
      'in a libvirt log',
      `2026-01-01 00:00:00.000+0000: 77: info : qemuMonitorJSONIOProcessLine:208 : QEMU_MONITOR_RECV_EVENT: mon=0x7f event=${JSON.stringify(event)}`,
    ],
  ])('%s', (_name, text) => {
    expect(feed(reader, `${text}\n`).events).toEqual([
      { kind: 'qmp_stop', t: 100000007, host: 'src', file: 'input', line: 1 },
    ]);
  });

  it('is not led astray by arrows inside a message', () => {
    const text = lines({ return: '-> {"event": 1}' }) + lines(event);
    expect(countsText(feed(reader, text).counts)).toBe('2 = 1 + 1 + 0');
  });

  it('takes the time of a wrapper where a message has none of its own', () => {
    const { events } = feed(
      reader,
      lines(
        { t: 2.5, k: 'cmd', msg: { execute: 'migrate_cancel' } },
        { t: 3, k: 'event', msg: { timestamp: { seconds: -1, microseconds: -1 }, event: 'RESUME' } },
      ),
    );
    expect(events.map((e) => e.t)).toEqual([2500000, 3000000]);
  });

  it('leaves the time out where there is none', () => {
    expect(feed(reader, lines({ execute: 'migrate_cancel' })).events[0]).not.toHaveProperty('t');
  });

  it('ignores lines that are no message', () => {
    const { counts } = feed(reader, `qemu: warning\n\n${lines({ t: 1, k: 'exit', rc: 0 }, { a: 1 })}`);
    expect(countsText(counts)).toBe('4 = 0 + 4 + 0');
  });
});

describe('commands and replies', () => {
  const set = (on: boolean, id?: unknown) => ({
    execute: 'migrate-set-capabilities',
    arguments: { capabilities: [{ capability: 'events', state: on }] },
    id,
  });

  it('shows a capability only when the command was accepted', () => {
    const { events } = feed(reader, lines(set(true), { error: { desc: 'no' } }, set(false), { return: {} }));
    expect(events).toMatchObject([{ kind: 'capability', name: 'events', on: false, line: 4 }]);
  });

  it('matches by id when replies overtake each other', () => {
    const { events } = feed(
      reader,
      lines(
        set(true, 'a'),
        { execute: 'query-migrate', id: 2 },
        { return: { status: 'setup' }, id: 2 },
        { return: {}, id: 'a' },
      ),
    );
    expect(events.map((e) => e.kind)).toEqual(['migration_info', 'capability']);
  });

  it('knows a reply to query-migrate by its fields when commands were not recorded', () => {
    const { events } = feed(
      reader,
      lines({ return: { status: 'active', ram: { transferred: 5 } } }, { return: { status: 'running' } }),
    );
    expect(events).toMatchObject([{ kind: 'migration_info', status: 'active', ramTransferred: 5 }]);
    expect(events).toHaveLength(1);
  });

  it('forgets the commands of an older connection', () => {
    const greeting = { QMP: { version: { qemu: { major: 9, minor: 1, micro: 0 } } } };
    const { events } = feed(reader, lines(set(true), greeting, { return: {} }));
    expect(tally(events)).toEqual({ vmm_version: 1 });
  });
});

describe('input that lies', () => {
  it.each([
    ['cut JSON', '{"event": "STOP"'],
    ['an event without name', lines({ timestamp: stamp, event: 1 })],
    ['an unknown status', lines({ timestamp: stamp, event: 'MIGRATION', data: { status: 'flying' } })],
    ['no status', lines({ timestamp: stamp, event: 'MIGRATION' })],
    [
      'an unknown device state',
      lines({ timestamp: stamp, event: 'VFIO_MIGRATION', data: { 'device-id': 'a', 'device-state': 'x' } }),
    ],
    ['no device', lines({ timestamp: stamp, event: 'VFIO_MIGRATION', data: { 'device-state': 'stop' } })],
    ['a command without name', lines({ execute: {} })],
    ['a wrapper around no object', lines({ t: 1, k: 'event', msg: 1 })],
  ])('%s is malformed', (_name, text) => {
    expect(feed(reader, text)).toMatchObject({ events: [], counts: { lines: 1, malformed: 1 } });
  });

  it('names a device by its path when it has no id', () => {
    const data = { 'qom-path': '/machine/x', 'device-state': 'stop-copy' };
    const { events } = feed(reader, lines({ timestamp: stamp, event: 'VFIO_MIGRATION', data }));
    expect(events).toMatchObject([{ device: '/machine/x', state: 'STOP_COPY' }]);
  });

  it('takes no number that no field can hold', () => {
    const text =
      '{"t": 1e999, "k": "cmd", "msg": {"execute": "query-migrate"}}\n' +
      '{"return": {"status": "active", "downtime": 1e999, "ram": {"transferred": 1e30}}}\n' +
      '{"timestamp": {"seconds": 1e999, "microseconds": 1}, "event": "STOP"}\n';
    expect(feed(reader, text).events).toEqual([
      { kind: 'migration_info', host: 'src', file: 'input', line: 2, status: 'active' },
      { kind: 'qmp_stop', host: 'src', file: 'input', line: 3 },
    ]);
  });

  it('counts events that nobody knows', () => {
    const { counts } = feed(reader, lines({ timestamp: stamp, event: 'NEW_THING' }));
    expect([...counts.unknown]).toEqual([['NEW_THING', 1]]);
  });

  it('stands deep nesting', () => {
    const deep = '['.repeat(200_000) + ']'.repeat(200_000);
    const { counts } = feed(reader, `{"execute": "migrate", "id": ${deep}}\n{"return": {}, "id": ${deep}}\n`);
    expect(counts.lines).toBe(2);
  });

  it('never throws', () => {
    const word = fc.constantFrom(
      't',
      'k',
      'msg',
      'event',
      'timestamp',
      'data',
      'QMP',
      'return',
      'execute',
      'id',
    );
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof({ maxDepth: 4 }, fc.jsonValue(), fc.dictionary(word, tie('tree'))),
    }));
    fc.assert(
      fc.property(fc.array(tree), (messages) => {
        const { counts } = feed(reader, lines(...messages));
        expect(counts.lines).toBe(messages.length);
        expect(counts.decoded + counts.ignored + counts.malformed).toBe(counts.lines);
      }),
    );
  });
});

describe('detection', () => {
  it('is certain of recorded streams', () => {
    expect(reader.detect(qmp('qemu-11.1/happy-default/src'), 'x')).toBe(1);
    expect(reader.detect(Buffer.from(lines({ timestamp: stamp, event: 'STOP' })), 'x')).toBe(1);
    expect(reader.detect(Buffer.from(lines({ execute: 'query-migrate' })), 'x')).toBe(0.9);
  });

  it('leaves other JSON lines alone', () => {
    for (const other of [
      '{"schema":"stopcopy-trace-1"}',
      '{"t":1,"ev":"begin"}',
      '{"n": 0, "t": 0.1, "dir": "c2s", "msg_id": 1, "hex": "00"}',
      '',
      'text -> more',
    ]) {
      expect(reader.detect(Buffer.from(other), 'x')).toBe(0);
    }
  });
});
