// The model that is measured: devices, a VM, a migration, and pages that become dirty. It is made large by
// what is free to happen at any time, and is no protocol.
import { and, eq, gt, lt, ModelBuilder, minus, ne, or, plus } from '../../dist/explore/index.js';
import { CAPABILITY_SETS, machineNamed } from '../../dist/machines/index.js';

const PHASES = ['none', 'setup', 'active', 'device', 'completed', 'failed', 'cancelled'];

/** The requests that change a device, one way in which one fails, and the reset. */
const EVENTS = [
  'SET.STOP',
  'SET.RUNNING',
  'SET.RUNNING_P2P',
  'SET.STOP_COPY',
  'SET.STOP_COPY.data_fd',
  'SET.PRE_COPY.data_fd',
  'SET.PRE_COPY_P2P.data_fd',
  'SET.RESUMING.data_fd',
  'FAIL.STOP.ERROR',
  'READ.end',
  'RESET.ok',
];

/** Equal devices with every request that they take, and a counter of 0 to `pages` dirty pages. */
export function benchmarkModel(devices, pages) {
  const capabilities = [CAPABILITY_SETS[3]];
  const options = { devices, pages, faults: 0, capabilities, variant: null };
  const model = new ModelBuilder('bench', 'The model that is measured', options);
  const members = Array.from({ length: devices }, (_, index) =>
    model.component(`vf${index}`, machineNamed('vfio-device').make(capabilities[0])),
  );
  const running = model.variable('running', 'the VM runs', 1, 1);
  const phase = model.variable('phase', PHASES.join(', '), PHASES.length - 1);
  const dirty = model.variable('dirty', 'pages to send', pages);
  const at = (name) => eq(phase, PHASES.indexOf(name));
  const to = (name) => phase.to(PHASES.indexOf(name));

  for (const device of members) {
    const { name } = device;
    for (const event of EVENTS)
      model.action(`${name}: ${event}`, { sync: [device.on(event)], labels: ['request'] });
    model.action(`${name}: write`, {
      when: and(running, device.in('device', 'RUNNING', 'PRE_COPY'), lt(dirty, pages)),
      set: [dirty.to(plus(dirty, 1))],
      labels: ['dma'],
    });
  }
  model.action('vm: stop', { when: running, set: [running.to(0)] });
  model.action('vm: start', { when: eq(running, 0), set: [running.to(1)] });
  const phases = [
    ['begin', 'none', 'setup'],
    ['set up', 'setup', 'active'],
    ['switch over', 'active', 'device'],
    ['complete', 'device', 'completed'],
    ['again after failure', 'failed', 'none'],
    ['again after cancel', 'cancelled', 'none'],
  ];
  for (const [name, from, next] of phases)
    model.action(`migration: ${name}`, { when: at(from), set: [to(next)] });
  const busy = or(at('setup'), at('active'), at('device'));
  model.action('migration: fail', { when: busy, set: [to('failed')] });
  model.action('migration: cancel', { when: or(busy, at('failed')), set: [to('cancelled')] });
  model.action('migration: send', {
    when: and(at('active'), gt(dirty, 0)),
    set: [dirty.to(minus(dirty, 1))],
  });
  model.always(
    'counted',
    'The counter stays in its range.',
    and(ne(phase, PHASES.length), lt(dirty, pages + 1)),
  );
  model.sometimes('full', 'All pages are dirty.', eq(dirty, pages));
  model.symmetric(
    'devices',
    members.map(({ name }) => [name]),
  );
  return model.build();
}
