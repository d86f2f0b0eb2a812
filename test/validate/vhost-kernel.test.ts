import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { vmm } from '../../src/rules/example.js';
import { backEndOf, LOGGED, PLAIN, usedAt } from '../../src/rules/vhost-example.js';
import type { TraceEvent } from '../../src/trace/event.js';
import { ERRNO } from '../../src/uapi/errno.js';
import { USED } from '../../src/uapi/virtio.js';
import { validateEvents, validateInputs } from '../../src/validate/index.js';
import { rendered } from './rendered.js';

const k = backEndOf();
const v = vmm();
const findings = (...events: TraceEvent[]) =>
  validateEvents(events).violations.map(({ rule, level, party }) => `${rule} ${party} ${level}`);

describe('kernel vhost', () => {
  test('a whole life is conformant', () => {
    const report = validateEvents([
      ...k.started(2),
      ...k.logOn(2),
      k.read([]),
      ...k.logOff(2),
      ...k.halt(0),
      ...k.halt(1),
      k.request('vhost_reset_owner'),
      k.owner(),
      k.event('vhost_close'),
    ]);
    expect(report.violations).toEqual([]);
    expect(report.devices).toMatchObject([
      { verdict: 'conformant', kind: 'vhost', state: 'stopped', finalState: null, capabilities: [] },
    ]);
  });

  test('the summary says what it is and how far it is', async () => {
    expect(await rendered('people', validateEvents(k.started()))).toContain(
      'source/net0: conformant, vhost, state running\n',
    );
  });

  test('without anything but starts and stops of the VMM nothing is judged', () => {
    const report = validateEvents([
      k.bare('vhost_dev_start', { begin: true }),
      k.bare('vring_start', { index: 0, begin: true }),
      k.bare('vhost_dev_start', { begin: false }),
      k.bare('vhost_dev_stop', { begin: true }),
    ]);
    expect(report).toMatchObject({
      verdict: 'inconclusive',
      devices: [{ kind: 'vhost', verdict: 'inconclusive' }],
    });
    expect(report.reason).toContain('no request to a back end');
  });

  test('RESET_OWNER takes everything with it', () => {
    const events = [...k.started(), k.request('vhost_reset_owner')];
    expect(findings(...events, k.table())).toEqual(['VHOST-KRN-01 driver must']);
    expect(findings(...events, k.owner(), k.backend(0))).toContain('VHOST-VMM-04 vmm should');
    expect(findings(...events, k.owner(), k.num(0, 8), k.addr(0), k.backend(0))).toEqual([
      'VHOST-VMM-05 vmm should',
    ]);
  });

  test('a ring with its log flag needs a log when it gets its backend', () => {
    const setUp = [...k.setUp(), ...k.ring(0, { log: true })];
    expect(findings(...setUp, k.backend(0), k.log())).toEqual(['VHOST-VMM-01 vmm must']);
    expect(findings(...setUp, k.log(), k.backend(0))).toEqual([]);
  });

  test('a device that is started while a migration runs may get the log last, before the backend', () => {
    const events = [
      v.status('active'),
      ...k.setUp(),
      k.features(LOGGED),
      ...k.ring(0, { log: true }),
      k.log(),
      k.backend(0),
      k.write('used', usedAt(0) + USED.ring, 8),
      ...k.halt(0),
      k.read([usedAt(0) / 4096], true),
    ];
    expect(findings(...events)).toEqual([]);
  });

  test('errors that the kernel gives are no findings', () => {
    expect(
      findings(
        k.open(),
        k.log(undefined, 'EPERM'),
        k.owner(),
        k.owner('EBUSY'),
        ...k.started().slice(3),
        k.num(0, 8, 'EBUSY'),
        k.base(0, 8, 'EBUSY'),
        k.addr(0, true, { logGuestAddr: 2 }, 'EINVAL'),
        k.features(LOGGED, 'EFAULT'),
        k.table(0, 'E2BIG'),
        k.log(undefined, 'EFAULT'),
      ),
    ).toEqual([]);
  });

  test('the base of a stopped ring is held against what was seen of it', () => {
    const ring = (...events: TraceEvent[]) => [...k.started(1, { base: 0xfffe }), ...events];
    const progress = k.bare('vring_progress', { index: 0, avail: 6, used: 4 });
    const write = k.write('used_idx', usedAt(0) + USED.idx, 2);
    for (const base of [2, 3, 4]) expect(findings(...ring(write, progress, ...k.halt(0, base)))).toEqual([]);
    for (const base of [1, 5])
      expect(findings(...ring(write, progress, ...k.halt(0, base)))).toEqual(['VHOST-KRN-10 driver must']);
    // What was done after it was told is not known.
    expect(findings(...ring(write, progress, write, ...k.halt(0, 9)))).toEqual([]);
    expect(findings(...ring(progress, ...k.halt(0, 9)))).toEqual([]);
  });

  test('the log of an order that QEMU does not have is a remark', () => {
    expect(findings(...k.started(), k.log(), k.addr(0, true), k.features(LOGGED))).toEqual([
      'VHOST-VMM-02 vmm note',
    ]);
    expect(findings(...k.started(), ...k.logOn(), k.addr(0), k.features(PLAIN))).toEqual([
      'VHOST-VMM-03 vmm note',
    ]);
  });
});

/** What the recorded program did, step by step, where an event tells it. */
const ROOT = new URL('../traces/kernel-vhost/', import.meta.url).pathname;

describe('a recorded run on /dev/vhost-net (Linux 7.2)', () => {
  test('strace of it is conformant', async () => {
    const report = await validateInputs([{ file: `${ROOT}vhostlog.strace` }]);
    expect(report.violations).toEqual([]);
    expect(report.verdict).toBe('conformant');
    expect(report.devices).toMatchObject([{ kind: 'vhost', state: 'stopped' }]);
  });

  test('its requests with their payload, and the bits that its log had, are conformant', () => {
    const lines = readFileSync(`${ROOT}vhostlog.strace`, 'utf8');
    expect(lines).toContain('VHOST_SET_LOG_BASE');
    const report = validateEvents(recorded());
    expect(report.violations.filter(({ level }) => level !== 'note')).toEqual([]);
    expect(report.violations.map(({ rule }) => rule)).toEqual(['VHOST-VMM-06']);
    for (const rule of ['VHOST-KRN-01', 'VHOST-KRN-02', 'VHOST-KRN-13'])
      expect(report.rules.checked).toContain(rule);
  });

  test('a bit less, and it is not', () => {
    expect(validateEvents(recorded(0)).rules.checked).toContain('VHOST-LOG-18');
    expect(validateEvents(recorded(0)).violations).toEqual([]);
    const report = validateEvents(recorded(0x4001a));
    expect(report.violations.filter(({ level }) => level !== 'note').map(({ rule }) => rule)).toEqual([
      'VHOST-LOG-18',
    ]);
  });
});

/**
 * The steps of the recorded program, with the pages that it found in the log. With a page that is left out of them
 * (0: none) the rings stop before the last reading, and not while their base is read.
 */
function recorded(without?: number): TraceEvent[] {
  const GPA = 0x4000_0000;
  const [rx, tx] = [GPA + 0x1000, GPA + 0x5000];
  const words = backEndOf('kernel', 'vhost-net');
  const addr = (index: number, log: boolean) =>
    words.addr(index, log, { logGuestAddr: index === 0 ? rx : tx });
  const set = (features: string) => words.request('vhost_set_features', { features });
  const look = (...pages: number[]): TraceEvent[] => [
    words.changed(...pages),
    words.read(pages.filter((page) => page !== without)),
  ];
  const ring = (index: number) => [
    words.num(index, 16),
    words.base(index, 0),
    addr(index, false),
    words.request('vring_kick_fd', { index, attached: true }),
    words.request('vring_call_fd', { index, attached: true }),
  ];
  const plain = '0x8000';
  const logged = `0x${(0x8000 | (1 << 26)).toString(16)}`;
  return [
    words.open(),
    words.event('vhost_offered', { features: '0x10b3d008000', errno: 0 }),
    words.request('vhost_log_base', {}, 'EPERM'),
    words.owner(),
    words.request('vhost_set_owner', { errno: ERRNO.EBUSY }, 'EBUSY'),
    set(plain),
    set(logged),
    set(plain),
    words.request('vhost_mem_table', { regions: [{ gpa: GPA, size: 0x40_0000 }] }),
    words.request('vhost_log_base'),
    ...ring(0),
    ...ring(1),
    words.backend(0),
    words.backend(1),
    words.read([]),
    words.request('vhost_log_base'),
    set(logged),
    words.read([0x40018]),
    addr(0, true),
    addr(1, true),
    words.read([]),
    ...look(0x40001, 0x4001a),
    ...look(0x40001, 0x4001c, 0x4001e, 0x40020),
    ...look(0x40005),
    ...look(0x40001, 0x40012, 0x40014, 0x40016, 0x400a0, 0x400a1),
    ...(without === undefined
      ? []
      : [words.backend(0, false), words.backend(1, false), words.read([], true)]),
    words.request('vhost_log_base'),
    set(plain),
    ...(without === undefined
      ? [words.baseRead(0, 25), words.backend(0, false), words.backend(1, false)]
      : []),
    words.baseRead(0, 25),
    words.baseRead(1, 1),
    words.request('vhost_reset_owner'),
  ];
}
