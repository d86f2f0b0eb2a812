import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { learnSchema } from '../../src/learn/index.js';
import { stopcopy } from '../support/cli.js';
import { Running, runs } from '../support/processes.js';
import { socketFolder } from '../vfio-user/servers.js';

test('a device that is right is equal to the protocol', () => {
  const { code, out } = stopcopy(['learn', '--target', 'mock:uart', '--diff', 'vfio-device', '--json']);
  expect(code).toBe(0);
  expect(learnSchema.parse(JSON.parse(out))).toMatchObject({ states: 7, differences: [], complete: true });
});

test('a fault is named by its arcs, with exit code 1', () => {
  const args = ['learn', '--target', 'mock:uart?fault=pre-copy-once', '--diff', 'vfio-device'];
  const { code, out } = stopcopy(args);
  expect(code).toBe(1);
  expect(out).toContain('in STOP, SET PRE_COPY: expected data_fd, now PRE_COPY');
  expect(out).toMatch(/verdict: DIFFERENT {2}\d+ differences/);
});

test('a budget that is used up gives exit code 3', () => {
  const { code, out } = stopcopy(['learn', '--target', 'mock:uart', '--budget', '50']);
  expect(code).toBe(3);
  expect(out).toContain('not complete: the budget');
});

test.each([
  [['learn', '--target', 'mock:none'], /mock:none/],
  [['learn', '--target', 'mock:uart', '--caps', 'p3p'], /unknown capability/],
])('%s is refused in one line', (args, words) => {
  const { code, err } = stopcopy(args);
  expect([code, err.trim().split('\n').length]).toEqual([2, 1]);
  expect(err).toMatch(words);
});

describe('--from', () => {
  const MTTY = 'test/traces/kernel-mtty/uapi.bpftrace.ndjson.gz';

  test('names what the trace of a driver shows against the protocol, and where', () => {
    const { code, out } = stopcopy(['learn', '--from', MTTY, '--diff', 'vfio-device']);
    expect(code).toBe(1);
    expect(out).toContain('differs in PRE_COPY, save, READ: expected ENOMSG, now PRE_COPY');
    expect(out).toContain(`        at ${MTTY}:1197`);
    expect(out).toContain('verdict: DIFFERENT  1 difference from vfio-device (stop-copy, p2p, pre-copy)');
  });

  test('a conformant run has none, and is no proof', () => {
    const folder = 'test/traces/qemu-11.1/happy-default';
    const from = ['src', 'dst'].map((host) => `${folder}/${host}.trace.log.gz`);
    const { code, out } = stopcopy(['learn', '--from', ...from, '--diff', 'vfio-device', '--json']);
    expect(code).toBe(0);
    expect(learnSchema.parse(JSON.parse(out))).toMatchObject({
      differences: [],
      complete: false,
      reason: 'recorded',
    });
    const { out: text } = stopcopy(['learn', '--from', ...from, '--diff', 'vfio-device']);
    expect(text).toContain('verdict: NO DIFFERENCE SEEN');
  });

  test('standard input, and a diagram with what differs', () => {
    const { out: input } = stopcopy(['convert', MTTY]);
    const { code, out } = stopcopy(['learn', '--from', '-', '--diff', 'vfio-device', '--format', 'mermaid'], {
      input,
    });
    expect(code).toBe(1);
    expect(out).toMatch(/^ {2}s\d+ --> s\d+: ! READ/m);
  });

  test('a trace without a call of a device gives exit code 3', () => {
    const args = ['learn', '--from', MTTY, '--device', 'none', '--diff', 'vfio-device'];
    const { code, out } = stopcopy(args);
    expect([code, out.includes('NOTHING SEEN')]).toEqual([3, true]);
  });

  test.each([
    [['learn'], /--target.*--from/],
    [['learn', '--target', 'mock:uart', '--from', MTTY], /one of the two/],
    [['learn', '--target', 'mock:uart', '--device', 'a'], /--device goes with --from/],
    [['learn', '--from', MTTY, '--budget', '9'], /--budget is of no use/],
    [['learn', '--from', 'nothing'], /nothing/],
    [['learn', '--from', 'README.md'], /unknown format/],
  ])('%s is refused in one line', (args, words) => {
    const { code, err } = stopcopy(args);
    expect([code, err.trim().split('\n').length]).toEqual([2, 1]);
    expect(err).toMatch(words);
  });
});

describe('a device that stopcopy serve gives over vfio-user', () => {
  test.each([
    ['uart', 2900],
    ['e810-vf?precopy', 2900],
  ])('%s is learned exactly, within so many requests', { timeout: 120_000 }, async (device, most) => {
    const path = join(socketFolder(), 'vf.sock');
    const server = new Running(['serve', '--device', device, '--vfio-user', path, '--json']);
    onTestFinished(() => server.kill());
    await server.says(/"listening"/, 'out');
    const learn = ['learn', '--target', `vfio-user:${path}`, '--diff', 'vfio-device', '--json'];
    const { code, out } = await runs(learn);
    expect(code).toBe(0);
    const report = learnSchema.parse(JSON.parse(out));
    expect(report).toMatchObject({ complete: true, differences: [], states: 5 });
    expect(report.requests).toBeLessThan(most);
  });
});
