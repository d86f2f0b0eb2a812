import { describe, expect, test } from 'vitest';
import { vhostTestSchema } from '../../src/run/vhost/index.js';
import { runs } from '../support/processes.js';

const target = (uri: string, ...more: string[]) => runs(['test', '--target', uri, ...more]);

describe('test on a vhost back end', () => {
  test.each(['vhost', 'vhost-user', 'vdpa'])('a correct %s passes', async (face) => {
    const { code, out, err } = await target(`mock:virtio-net:${face}`, '--json');
    expect(err).toBe('');
    expect(code).toBe(0);
    const report = vhostTestSchema.parse(JSON.parse(out));
    expect(report).toMatchObject({ verdict: 'pass', target: `mock:virtio-net:${face}`, failures: [] });
    expect(report.passed).toBeGreaterThan(10);
  });

  test('a fault fails, and the words name the rule and how to see it again', async () => {
    const uri = 'mock:virtio-net:vhost-user?fault=used-never-logged';
    const { code, out } = await target(uri);
    expect(code).toBe(1);
    expect(out).toMatch(/failure\[VHOST-LOG-18\]: a page that changed is marked/);
    expect(out).toMatch(/verdict: FAIL/);
    expect(out).toContain(`--target '${uri}'`);
    const [, id] = /= replay: stopcopy test [\s\S]*?--only\s+(\S+)/.exec(out)!;
    const again = await target(uri, '--only', id!);
    expect(again.code).toBe(1);
    expect(again.out).toMatch(/0 of 1 case passed/);
  });

  test.each([
    [['mock:virtio-net:tap'], /mock:virtio-net:tap: expected mock:virtio-net:FACE/],
    [['mock:virtio-net:vdpa', '--suite', 'x.json'], /--suite and --coverage are for VFIO devices/],
    [['mock:virtio-net:vdpa', '--format', 'junit'], /--format junit is for VFIO devices/],
    [['vhost-user:/nowhere/net.sock'], /vhost-user:\/nowhere\/net\.sock: ENOENT/],
    [['vhost-user:'], /vhost-user:: expected vhost-user:\/path\.sock/],
    [['vhost-vdpa:/dev/null/vdpa'], /vhost-vdpa:\/dev\/null\/vdpa: /],
    [['kvm:x'], /expected kvm: or kvm:\?sequences=N/],
  ])('%s is refused in one line', async ([uri, ...more], reason) => {
    const { code, out, err } = await target(uri!, ...more);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toMatch(reason);
    expect(err.trimEnd().split('\n')).toHaveLength(1);
  });
});

test('KVM agrees with its machines, or it is said why it was not asked', async () => {
  const { code, out } = await target('kvm:?sequences=20', '--json');
  const report = JSON.parse(out) as { schema: string; skipped: string | null; disagreements: unknown[] };
  expect(report).toMatchObject({ schema: 'stopcopy-kvm-test-1', disagreements: [] });
  expect(code).toBe(report.skipped === null ? 0 : 3);
  if (report.skipped !== null) expect(report.skipped.length).toBeGreaterThan(10);
});

test('a virtio device of no such interface does not migrate', async () => {
  const { code, out, err } = await runs(['migrate', '--device', 'virtio-net:nonsense']);
  expect(code).toBe(2);
  expect(out).toBe('');
  expect(err).toMatch(/virtio-net:nonsense/);
  expect(err.trimEnd().split('\n')).toHaveLength(1);
});
