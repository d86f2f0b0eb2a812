import { ModelBuilder } from '../../src/explore/builder.js';
import { and, eq, gt, lt, minus, ne, or, plus } from '../../src/explore/expression.js';
import type { Model } from '../../src/explore/model.js';
import { CAPABILITY_SETS } from '../../src/machines/capabilities.js';
import { vfioDevice } from '../../src/machines/vfio-device.js';

/**
 * A model to measure with: devices that take every request, a VM, a migration and a count of dirty pages. It is
 * as large as one likes, and says nothing about the protocol.
 */
export function benchmarkModel(devices: number, dirtyPages: number): Model {
  const options = { devices, pages: dirtyPages, faults: 0, capabilities: [], variant: null };
  const model = new ModelBuilder('benchmark', 'Devices beside a migration', options);
  const caps = CAPABILITY_SETS.at(-1)!;
  const running = model.variable('running', 'the VM runs', 1, 1);
  const PHASES = { none: 0, setup: 1, active: 2, device: 3, completed: 4, failed: 5, cancelled: 6 };
  const phase = model.variable('phase', 'how far the migration is', 6);
  const dirty = model.variable('dirty', 'dirty pages', dirtyPages);
  const at = (name: keyof typeof PHASES) => eq(phase, PHASES[name]);
  const stopped = [];
  for (let index = 0; index < devices; index++) {
    const device = model.component(`vf${index}`, vfioDevice(caps));
    const events = [
      'SET.STOP',
      'SET.RUNNING',
      'SET.STOP_COPY',
      'SET.STOP_COPY.data_fd',
      'SET.RESUMING.data_fd',
    ];
    for (const event of [
      ...events,
      'SET.RUNNING_P2P',
      'SET.PRE_COPY.data_fd',
      'SET.PRE_COPY_P2P',
      'RESET.ok',
    ])
      model.action(`vf${index}: ${event}`, { sync: [device.on(event)] });
    model.action(`vf${index}: fails`, { sync: [device.on('FAIL.STOP.ERROR')] });
    model.action(`vf${index}: DMA`, {
      when: [device.in('device', 'RUNNING', 'PRE_COPY'), lt(dirty, dirtyPages)],
      set: [dirty.to(plus(dirty, 1))],
    });
    stopped.push(device.in('device', 'STOP_COPY'));
  }
  const go = (name: string, from: Parameters<typeof at>[0][], to: keyof typeof PHASES) =>
    model.action(`migration: ${name}`, { when: or(...from.map(at)), set: [phase.to(PHASES[to])] });
  go('setup', ['none', 'completed', 'failed', 'cancelled'], 'setup');
  go('active', ['setup'], 'active');
  model.action('migration: device', {
    when: and(at('active'), eq(running, 0)),
    set: [phase.to(PHASES.device)],
  });
  model.action('migration: completed', {
    when: and(at('device'), ...stopped),
    set: [phase.to(PHASES.completed)],
  });
  go('failed', ['setup', 'active', 'device'], 'failed');
  go('cancelled', ['setup', 'active', 'device'], 'cancelled');
  model.action('VM: stop', { when: eq(running, 1), set: [running.to(0)] });
  model.action('VM: start', { when: and(eq(running, 0), ne(phase, PHASES.device)), set: [running.to(1)] });
  model.action('log: send a page', { when: gt(dirty, 0), set: [dirty.to(minus(dirty, 1))] });
  model.never(
    'all-in-error',
    'A migration never completes in an error of all.',
    and(at('completed'), eq(running, 2)),
  );
  model.sometimes('completes', 'A migration completes.', at('completed'));
  model.sound(0);
  model.symmetric(
    'devices',
    Array.from({ length: devices }, (_, index) => [`vf${index}`]),
  );
  return model.build();
}
