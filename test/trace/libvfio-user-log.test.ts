import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { libvfioUserLogReader as reader } from '../../src/trace/readers/libvfio-user-log.js';
import { countsText, feed, only } from './feed.js';

const spdk = (second: number, text: string, level = 'DEBUG') =>
  `[2022-05-11 16:27:${String(second).padStart(2, '0')}.610634] vfio_user.c:2843:vfio_user_log: *${level}*: /var/run: ${text}\n`;
const callback = (state: number) =>
  `[2022-05-11 16:27:35.610644] vfio_user.c:3510:vfio_user_migration_device_state_transition: *DEBUG*: /var/run controller state 3, migration state ${state}\n`;
const going = (from: string, to: string) => `migration: transitioning from state ${from} to state ${to}`;
const gone = (from: string, to: string) => `migration: transitioned from state ${from} to state ${to}`;
const failed = (from: string, to: string) =>
  `migration: failed to transition from state ${from} to state ${to}`;

const LOG =
  spdk(35, going('pre-copy', 'stop-and-copy')) +
  callback(2) +
  '[2022-05-11 16:27:35.610694] vfio_user.c:3031:vfio_user_ctrlr_dump_migr_data: *NOTICE*: Dump SAVE\n' +
  spdk(36, gone('pre-copy', 'stop-and-copy')) +
  spdk(37, going('stop-and-copy', 'resuming')) +
  spdk(37, failed('stop-and-copy', 'resuming'), 'ERROR') +
  spdk(37, 'msg0x1f: cmd 10 failed: Invalid argument', 'ERROR') +
  spdk(38, going('stop-and-copy', 'stopped'));

describe('libvfio-user logs', () => {
  it('shows each transition once, with its outcome', () => {
    const { events, counts, remarks } = feed(reader, LOG);
    expect(countsText(counts)).toBe('8 = 3 + 5 + 0');
    expect(events).toEqual([
      {
        kind: 'driver_arc',
        t: Date.UTC(2022, 4, 11, 16, 27, 36) * 1000 + 610634,
        host: 'src',
        file: 'input',
        line: 4,
        device: '/var/run',
        from: 'PRE_COPY',
        to: 'STOP_COPY',
        errno: 0,
      },
      expect.objectContaining({ line: 7, from: 'STOP_COPY', to: 'RESUMING', errno: 22 }),
      expect.objectContaining({ line: 8, from: 'STOP_COPY', to: 'STOP' }),
    ]);
    // The log ends before the outcome of the last one.
    expect(events[2]).not.toHaveProperty('errno');
    expect(remarks).toHaveLength(1);
  });

  it('reads logs that print no outcome', () => {
    const { events, counts } = feed(
      reader,
      `${going('running', 'pre-copy')}\n${going('pre-copy', 'running')}\n`,
    );
    expect(countsText(counts)).toBe('2 = 2 + 0 + 0');
    expect(events).toMatchObject([
      { device: 'vfio-user', line: 1, from: 'RUNNING', to: 'PRE_COPY' },
      { device: 'vfio-user', line: 2, from: 'PRE_COPY', to: 'RUNNING' },
    ]);
  });

  it('keeps devices apart', () => {
    const line = (device: string, text: string) => `server[${device}]: ${text}\n`;
    const { events } = feed(
      reader,
      line('1', going('running', 'pre-copy')) +
        line('2', going('running', 'stopped')) +
        line('1', gone('running', 'pre-copy')) +
        line('2', failed('running', 'stopped')),
    );
    expect(events).toMatchObject([
      { device: 'server[1]', to: 'PRE_COPY', errno: 0 },
      { device: 'server[2]', to: 'STOP', errno: 5 },
    ]);
  });

  it('takes a repeated state as the no-op that it is', () => {
    const text = `${going('resuming', 'resuming')}\n${gone('resuming', 'resuming')}\n`;
    expect(countsText(feed(reader, text).counts)).toBe('2 = 0 + 2 + 0');
  });

  it('takes the word of the callback where the library is silent', () => {
    const { events } = feed(reader, callback(3) + callback(2));
    expect(events).toMatchObject([
      { kind: 'driver_request', state: 'PRE_COPY', device: '/var/run' },
      { kind: 'driver_request', state: 'STOP_COPY' },
    ]);
    expect(only(feed(reader, LOG).events, 'driver_request')).toEqual([]);
  });

  it.each(['stop_and_copy', 'Stop and copy', 'STOP-COPY'])('accepts %s', (name) => {
    expect(feed(reader, `${going('stop', name)}\n`).events).toMatchObject([
      { from: 'STOP', to: 'STOP_COPY' },
    ]);
  });

  it.each([going('running', '(null)'), going('constructor', 'running'), callback(7)])(
    '%j is malformed',
    (text) => {
      expect(feed(reader, `${text}\n`).counts).toMatchObject({ malformed: 1, decoded: 0 });
    },
  );

  it('gives the same events however blocks are cut, and never throws', () => {
    const whole = feed(reader, LOG).events;
    fc.assert(
      fc.property(fc.array(fc.nat(LOG.length)), (cuts) => {
        expect(feed(reader, LOG, { cuts }).events).toEqual(whole);
      }),
    );
    const lines = LOG.split('\n');
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constantFrom(...lines), fc.string())), (parts) => {
        const { counts } = feed(reader, parts.join('\n'));
        expect(counts.decoded + counts.ignored + counts.malformed).toBe(counts.lines);
      }),
    );
  });

  it('is found', () => {
    expect(reader.detect(Buffer.from(LOG), 'x')).toBe(0.9);
    expect(reader.detect(Buffer.from(callback(1)), 'x')).toBe(0.9);
    expect(reader.detect(Buffer.from(`${going('running', 'stopped')}\n`), 'x')).toBe(0.9);
    expect(reader.detect(Buffer.from(spdk(1, 'map 0x0-0x1000')), 'x')).toBe(0.5);
    expect(reader.detect(Buffer.from('migrate_set_state new state active\n'), 'x')).toBe(0);
    expect(reader.detect(Buffer.from(`{"k":"x","msg":": ${going('running', 'stopped')}"}\n`), 'x')).toBe(0);
  });
});
