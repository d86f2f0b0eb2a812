import { describe, expect, test } from 'vitest';
import { openVhostTarget } from '../../devices/open-vhost-target.js';
import { runVhostCases, VHOST_CASES, vhostTestSchema } from '../../src/run/vhost/index.js';

const FACES = ['vhost', 'vhost-user', 'vdpa'] as const;

async function run(face: string, seed = 1) {
  const target = await openVhostTarget(`mock:virtio-net:${face}`, seed);
  const report = await runVhostCases({ target, timeout: 10_000, maxFailures: 100 });
  return { report, found: report.failures.map(({ rule, case: id }) => rule ?? id) };
}

test('cases have ids of their own', () => {
  expect(new Set(VHOST_CASES.map(({ id }) => id)).size).toBe(VHOST_CASES.length);
});

test.each(FACES)('a correct %s passes every case, with any seed', async (face) => {
  for (let seed = 1; seed <= 20; seed++) {
    const { report } = await run(face, seed);
    expect(report.failures).toEqual([]);
    expect(report).toMatchObject({ verdict: 'pass', passed: report.cases });
    expect(report.cases).toBeGreaterThan(10);
    vhostTestSchema.parse(report);
  }
});

/** What finds a fault: the rule of the trace, or the case. */
const FOUND: readonly (readonly [face: string, fault: string, by: string])[] = [
  ['vhost', 'used-never-logged', 'VHOST-LOG-18'],
  ['vhost', 'log-all-from-start-only', 'VHOST-LOG-18'],
  ['vhost-user', 'ring-flag-from-start-only', 'VHOST-LOG-18'],
  ['vhost-user', 'buffers-never-logged', 'VHOST-LOG-18'],
  ['vhost', 'first-page-only', 'VHOST-LOG-18'],
  ['vhost', 'offset-not-counted', 'VHOST-LOG-18'],
  ['vhost-user', 'bit-order', 'VHOST-LOG-18'],
  ['vhost-user', 'host-page-size', 'VHOST-LOG-18'],
  ['vhost', 'region-relative', 'VHOST-LOG-18'],
  ['vhost-user', 'used-by-user-address', 'VHOST-LOG-18'],
  ['vhost', 'ring-flag-ignored', 'log-gates'],
  ['vhost', 'gates-joined', 'log-gates'],
  ['vhost-user', 'first-descriptor-only', 'VHOST-LOG-18'],
  ['vhost', 'first-buffer-only', 'VHOST-LOG-18'],
  ['vhost-user', 'header-not-counted', 'VHOST-LOG-18'],
  ['vhost', 'byte-boundary', 'VHOST-LOG-18'],
  ['vhost-user', 'word-boundary', 'VHOST-LOG-18'],
  ['vhost', 'word-of-32', 'VHOST-LOG-18'],
  ['vhost', 'used-idx-only', 'VHOST-LOG-18'],
  ['vhost-user', 'used-idx-unmarked', 'VHOST-LOG-18'],
  ['vhost', 'avail-event-unmarked', 'VHOST-LOG-18'],
  ['vhost', 'used-offset-lost', 'VHOST-LOG-18'],
  ['vhost-user', 'log-guest-addr-ignored', 'log-guest-addr'],
  ['vhost-user', 'log-base-late', 'VHOST-LOG-18'],
  ['vhost', 'log-base-kept', 'VHOST-LOG-18'],
  ['vdpa', 'works-after-stop', 'silent-when-stopped'],
  ['vhost', 'base-off-by-one', 'base-of-idle-ring'],
  ['vdpa', 'base-as-set', 'suspend-resume'],
  ['vhost', 'takes-ring-change', 'VHOST-KRN-03'],
  ['vdpa', 'takes-ring-change', 'base-while-running'],
  ['vdpa', 'features-after-features-ok', 'features-after-ok'],
  ['vdpa', 'status-takes-less', 'VDPA-STATUS-02'],
  ['vhost', 'takes-unoffered', 'unoffered-feature'],
  ['vhost-user', 'starts-without-kick', 'no-kick-descriptor'],
  ['vhost-user', 'ignores-enable', 'disabled-ring'],
  ['vdpa', 'ignores-enable', 'not-enabled'],
  ['vdpa', 'works-before-driver-ok', 'before-driver-ok'],
  ['vdpa', 'reset-keeps-rings', 'reset-ends-rings'],
  ['vdpa', 'status-loses-bits', 'status-read'],
  ['vdpa', 'kicks-lost-at-resume', 'suspend-resume'],
  ['vhost-user', 'forgets-enable', 'receive'],
  ['vhost-user', 'features-reset-rings', 'log-off-again'],
];

describe('a fault is found', () => {
  test.each(FOUND)('%s?fault=%s by %s', async (face, fault, by) => {
    const { report, found } = await run(`${face}?fault=${fault}`);
    expect(report.verdict).toBe('fail');
    expect(found).toContain(by);
    for (const { party } of report.failures) expect(party).toBe('driver');
  });
});

test('only one case, and none of such a name', async () => {
  const target = await openVhostTarget('mock:virtio-net:vhost');
  const options = { target, timeout: 1000, maxFailures: 1 };
  expect(await runVhostCases({ ...options, only: 'transmit' })).toMatchObject({ cases: 1, passed: 1 });
  await expect(runVhostCases({ ...options, only: 'nothing' })).rejects.toThrow(/no case is called nothing/);
});

test.each([
  ['mock:virtio-net:tap', /expected mock:virtio-net:FACE/],
  ['mock:virtio-net:vdpa?fault=none', /no fault of virtio-net is called none/],
  ['mock:virtio-net:vdpa?seed=1', /no option is called seed/],
  ['vhost-user:', /expected vhost-user/],
])('%s is refused with a reason', async (uri, reason) => {
  await expect(openVhostTarget(uri)).rejects.toThrow(reason);
});
