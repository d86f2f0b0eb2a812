import { describe, expect, test } from 'vitest';
import { judged, migration } from './two-sides.js';

const TIMEOUT = 60_000;

describe('a VM arrives whole', () => {
  test.each([
    ['generation A', ['--generation', 'a', '--vfs', '2']],
    ['generation B', ['--generation', 'b', '--vfs', '2']],
    ['generation B with PRE_COPY and DMA logging', ['--precopy', '--device-dirty', 'dma-logging']],
    ['switchover-ack', ['--precopy', '--vfs', '2', '--capability', 'switchover-ack']],
    ['multifd', ['--precopy', '--vfs', '2', '--capability', 'multifd', '--multifd-channels', '3']],
    ['auto-converge', ['--capability', 'auto-converge', '--dirty-rate', '20000']],
    ['kvm-manual', ['--cpu-dirty', 'kvm-manual']],
    ['kvm-initially-set', ['--cpu-dirty', 'kvm-initially-set']],
    ['kvm-pml', ['--cpu-dirty', 'kvm-pml']],
    ['kvm-ring', ['--cpu-dirty', 'kvm-ring']],
    ['vhost-log', ['--device-dirty', 'vhost-log']],
    ['no tracking of devices', ['--device-dirty', 'none', '--downtime-limit', '2000']],
    ['E810 beside UART', ['--device', 'e810-vf', '--device', 'uart', '--precopy']],
  ])('%s', { timeout: TIMEOUT }, async (_name, options) => {
    const { report, destination, events } = await migration(options);
    expect(report).toMatchObject({ outcome: 'completed', running: 'destination', error: null });
    expect(report).toMatchObject({ memoryEqual: true, framesLost: 0, framesDuplicated: 0 });
    expect(report.deviceStateEqual).toBe(true);
    expect(destination.report.complaints).toEqual([]);
    const { verdict, broken, checked } = judged(events);
    expect(broken).toEqual([]);
    expect(verdict).toBe('conformant');
    expect(checked).toBeGreaterThanOrEqual(40);
  });
});

describe('post-copy', () => {
  const options = ['--device', 'none', '--capability', 'postcopy-ram', '--dirty-rate', '20000'];

  test('brings the pages that the guest waits for', { timeout: TIMEOUT }, async () => {
    const { report, destination } = await migration(options);
    expect(report).toMatchObject({ outcome: 'completed', memoryEqual: true });
    expect(report.phases.postcopy).toBeGreaterThan(4096);
    expect(destination.report.complaints).toEqual([]);
  });
});

describe('what both sides must have in common is checked before anything is sent', () => {
  test.each([
    ['RAM size', ['--ram', '64M']],
    ['machine type', ['--machine', 'stopcopy-pc-0']],
    ['queue pairs', ['--queues', '2']],
    ['generation', ['--generation', 'a']],
    ['devices', ['--vfs', '2']],
    ['capabilities', ['--capability', 'switchover-ack']],
  ])('%s', { timeout: TIMEOUT }, async (what, destination) => {
    const { report, from, events } = await migration([], { destination });
    expect(report).toMatchObject({ outcome: 'failed', running: 'source' });
    expect(report.error).toMatch(what);
    expect(report.phases.precopy).toBeUndefined();
    expect(from.vm.devices.map(({ state }) => state)).toEqual(['RUNNING']);
    expect(judged(events).broken).toEqual([]);
  });
});
