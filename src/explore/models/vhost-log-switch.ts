import { vhostDevice } from '../../machines/vhost-device.js';
import { vhostVmm } from '../../machines/vhost-vmm.js';
import { vhostVring } from '../../machines/vhost-vring.js';
import type { TraceEvent } from '../../trace/event.js';
import { VHOST_FEATURES } from '../../uapi/vhost.js';
import type { VhostUserRequest } from '../../uapi/vhost-user.js';
import { type ComponentHandle, ModelBuilder, type VariableHandle } from '../builder.js';
import { and, type Expression, either, eq, max, not, or } from '../expression.js';
import type { Assignment, Model, ModelEntry, ModelOptions } from '../model.js';
import { modelOptions } from './options.js';

/** The dirty log of a vhost back end, switched on and off and exchanged while rings run. */
export const vhostLogSwitch: ModelEntry = {
  name: 'vhost-log-switch',
  title: "A vhost back end's dirty log: its gates, its exchange, ring restarts, the last harvest",
  words:
    'A back end writes guest memory: buffers, and the used part of each ring. A migration switches the log on ' +
    '(SET_LOG_BASE, then LOG_ALL, then VHOST_VRING_F_LOG of each ring), sends pages, harvests the log, exchanges it ' +
    'when guest memory grows, stops the device and harvests for the last time; it may be cancelled, and the guest ' +
    'may stop and start the device at any time. `devices` are rings, `pages` are pages of buffers; each ring has a ' +
    'page with its used part beside them. A page is current at the destination, or not; sent pages are current ' +
    'until they are written again. Left out: the content of rings, refusals of requests, post-copy.',
  ranges: { devices: { least: 1, most: 3, usual: 2 }, pages: { least: 1, most: 3, usual: 1 } },
  capabilities: [],
  variants: [
    {
      name: 'ring-flag-forgotten',
      title: 'The log is switched on without the log flag of the rings.',
      kind: 'mutant',
      breaks: ['no-page-lost'],
    },
    {
      name: 'base-late',
      title: 'While rings run, LOG_ALL is switched on before SET_LOG_BASE.',
      kind: 'mutant',
      breaks: ['no-run-without-log', 'no-write-to-released-log'],
    },
    {
      name: 'dropped-before-sync',
      title: 'The old log is dropped at an exchange before it was harvested.',
      kind: 'mutant',
      breaks: ['no-page-lost'],
    },
    {
      name: 'read-then-clear',
      title: 'A harvest reads the log and clears it later, without looking again.',
      kind: 'mutant',
      breaks: ['no-page-lost'],
    },
    {
      name: 'harvest-before-stop',
      title: 'The last harvest is made while the rings still run.',
      kind: 'mutant',
      breaks: ['no-page-lost', 'last-harvest-after-stop'],
    },
    {
      name: 'put-without-sync',
      title: 'The log is released without a harvest when the guest stops the device.',
      kind: 'mutant',
      breaks: ['no-page-lost'],
    },
    {
      name: 'released-early',
      title: 'After a cancel the log is released while LOG_ALL is still on.',
      kind: 'mutant',
      breaks: ['no-write-to-released-log'],
    },
    {
      name: 'never-switches-over',
      title: 'The VMM goes on sending for ever.',
      kind: 'mutant',
      breaks: ['migration-ends', 'completed', 'every-event-happens'],
    },
    {
      name: 'no-cancel',
      title: 'A cancel leaves the log on.',
      kind: 'mutant',
      breaks: ['cancelled', 'every-event-happens'],
    },
    {
      name: 'no-exchange',
      title: 'Guest memory never grows in a migration.',
      kind: 'mutant',
      breaks: ['exchanged'],
    },
    {
      name: 'no-start-while-logging',
      title: 'A device cannot be started while a migration is under way.',
      kind: 'mutant',
      breaks: ['started-while-logging', 'every-event-happens'],
    },
    {
      name: 'waits-for-a-bit',
      title: 'The last harvest waits until the log holds a bit, which it may never do.',
      kind: 'mutant',
      breaks: ['migration-ends', 'completed', 'no-deadlock', 'every-event-happens'],
    },
    {
      name: 'qemu-11.1',
      title: 'As QEMU 11.1.2 starts a device while it migrates: the rings are kicked before SET_LOG_BASE.',
      kind: 'implementation',
      breaks: ['no-page-lost', 'no-run-without-log'],
      seen: 'vhost-user/passt-dst-killed',
    },
  ],
  make: (options) => build(modelOptions(vhostLogSwitch, options)),
};

const DEVICE = 'net0';
const HOST = 'src';
const VMM = 'VMM';
const BACK_END = 'back end';
/** How far the device's start is. */
const START = { stopped: 0, features: 1, logged: 2, running: 3, stopping: 4 };
/** How far the migration is. */
const PHASE = {
  none: 0,
  base: 1,
  features: 2,
  active: 3,
  switchover: 4,
  final: 5,
  completed: 6,
  cancelling: 7,
  release: 8,
};

interface Page {
  readonly name: string;
  /** Written since it was sent. */
  readonly stale: VariableHandle;
  /** Its bit in the log, in the log before an exchange, and in the VMM's own bitmap. */
  readonly logged: VariableHandle;
  readonly old: VariableHandle;
  readonly pending: VariableHandle;
}

interface Ring {
  readonly index: number;
  readonly chart: ComponentHandle;
  readonly used: Page;
  /** Set up since the start of the device. */
  readonly ready: VariableHandle;
}

function build(options: ModelOptions): Model {
  const variant = (name: string): boolean => options.variant === name;
  const model = new ModelBuilder(vhostLogSwitch.name, vhostLogSwitch.title, options);
  const vmm = model.component(VMM, vhostVmm());
  const device = model.component('device', vhostDevice());
  const start = model.variable('start', `the device: ${Object.keys(START).join(', ')}`, 4);
  const phase = model.variable('phase', `the migration: ${Object.keys(PHASE).join(', ')}`, 8);
  const released = model.variable('released', 'the VMM has released the log that the back end has', 1);
  const exchanged = model.variable('exchanged', 'an old log is still to be harvested', 1);
  const addPage = (name: string): Page => ({
    name,
    stale: model.variable(`${name} stale`, 'the destination has not what is there', 1),
    logged: model.variable(`${name} logged`, 'bit in the log', 1),
    old: model.variable(`${name} old`, 'bit in the log before the exchange', 1),
    pending: model.variable(`${name} pending`, 'to be sent', 1),
  });
  const rings = Array.from(
    { length: options.devices },
    (_, index): Ring => ({
      index,
      chart: model.component(`ring ${index}`, vhostVring()),
      used: addPage(`used ${index}`),
      ready: model.variable(`ready ${index}`, 'the ring was set up', 1),
    }),
  );
  const buffers = Array.from({ length: options.pages }, (_, index) => addPage(`page ${index}`));
  const pages = [...buffers, ...rings.map(({ used }) => used)];

  const at = (...names: (keyof typeof PHASE)[]) => or(...names.map((name) => eq(phase, PHASE[name])));
  const startIs = (...names: (keyof typeof START)[]) => or(...names.map((name) => eq(start, START[name])));
  /** From SET_LOG_BASE on until the migration has ended. */
  const logging = at('active', 'switchover');
  const logAll = device.in('log_all', 'on');
  const hasBase = device.in('base', 'given');
  const attached = (ring: Ring) => ring.chart.in('backend', 'attached');
  const anyAttached = or(...rings.map(attached));
  const allAttached = and(...rings.map(attached));
  const each = (make: (page: Page) => Assignment[]): Assignment[] => pages.flatMap(make);

  /** Takes the log's bits into the bitmap of what is to be sent. */
  const harvested = (drop: boolean): Assignment[] =>
    each(({ logged, old, pending }) => [
      ...(drop ? [] : [pending.to(max(pending, logged, old))]),
      logged.to(0),
      old.to(0),
    ]);

  // The guest's driver starts and stops the device.
  model.action('VMM: SET_MEM_TABLE', {
    when: device.in('memory', 'none'),
    sync: [device.on('MEM')],
    chart: { from: VMM, to: BACK_END, text: 'SET_MEM_TABLE' },
    events: message('SET_MEM_TABLE', { kind: 'vhost_mem_table' }),
    labels: ['progress'],
  });
  const mayStart = variant('no-start-while-logging') ? at('none') : at('none', 'active');
  for (const log of [false, true]) {
    const event = log ? 'LOG_ALL.on' : 'LOG_ALL.off';
    model.action(`VMM: starts the device, SET_FEATURES ${log ? 'with' : 'without'} LOG_ALL`, {
      when: and(startIs('stopped'), mayStart, log ? logging : not(logging), device.in('memory', 'table')),
      sync: [vmm.on(event), device.on(event)],
      set: [start.to(START.features)],
      chart: { from: VMM, to: BACK_END, text: `SET_FEATURES ${log ? '+' : '-'}LOG_ALL` },
      events: [
        { kind: 'vhost_dev_start', host: HOST, device: DEVICE, begin: true },
        ...message('SET_FEATURES', features(log)),
      ],
      labels: ['guest'],
    });
  }
  for (const ring of rings) {
    model.action(`ring ${ring.index}: SET_VRING_NUM`, {
      when: ring.chart.in('size', 'unset'),
      sync: [ring.chart.on('NUM.ok')],
      chart: { from: VMM, to: BACK_END, text: `SET_VRING_NUM ${ring.index}` },
      events: message('SET_VRING_NUM', { kind: 'vring_num', index: ring.index }),
      labels: ['progress'],
    });
    for (const log of [false, true])
      model.action(`ring ${ring.index}: SET_VRING_ADDR ${log ? 'with' : 'without'} log flag`, {
        when: and(
          startIs('features'),
          eq(ring.ready, 0),
          ring.chart.in('size', 'set'),
          log ? logging : not(logging),
        ),
        sync: [ring.chart.on(log ? 'ADDR.log' : 'ADDR.plain')],
        set: [ring.ready.to(1)],
        chart: { from: VMM, to: BACK_END, text: `SET_VRING_ADDR ${ring.index}${log ? ' +F_LOG' : ''}` },
        events: message('SET_VRING_ADDR', { kind: 'vring_addr', index: ring.index, log }),
        labels: ['progress'],
      });
  }
  const allReady = and(...rings.map(({ ready }) => eq(ready, 1)));
  model.action('VMM: SET_LOG_BASE of the device that starts', {
    when: and(
      variant('qemu-11.1')
        ? and(startIs('features', 'running'), allAttached, eq(released, 1))
        : startIs('features'),
      logging,
      allReady,
    ),
    sync: [vmm.on('LOG.base'), device.on('LOG.base')],
    set: [...(variant('qemu-11.1') ? [] : [start.to(START.logged)]), released.to(0)],
    chart: { from: VMM, to: BACK_END, text: 'SET_LOG_BASE' },
    events: message('SET_LOG_BASE', { kind: 'vhost_log_base' }),
    labels: ['progress'],
  });
  for (const ring of rings)
    for (const log of [false, true]) {
      const early = log && variant('qemu-11.1');
      model.action(`ring ${ring.index}: SET_VRING_KICK, it runs${log ? ' and logs' : ''}`, {
        when: and(
          eq(ring.ready, 1),
          not(attached(ring)),
          allReady,
          log ? and(logging, startIs(early ? 'features' : 'logged')) : and(not(logging), startIs('features')),
        ),
        // The chart of the VMM refuses a ring that runs with LOG_ALL and without a log.
        sync: [
          ring.chart.on('ATTACH'),
          device.on('RUN'),
          ...(early ? [] : [vmm.on(log ? 'RUN.log' : 'RUN')]),
        ],
        chart: { from: VMM, to: BACK_END, text: `SET_VRING_KICK ${ring.index}` },
        events: message('SET_VRING_KICK', { kind: 'vring_kick_fd', index: ring.index, attached: true }),
        labels: ['progress'],
      });
    }
  model.action('VMM: the device runs', {
    when: and(
      startIs('features', 'logged'),
      allAttached,
      variant('qemu-11.1') ? or(not(logging), eq(released, 0)) : 1,
    ),
    set: [start.to(START.running)],
    events: [{ kind: 'vhost_dev_start', host: HOST, device: DEVICE, begin: false }],
    labels: ['progress'],
  });
  model.action('VMM: stops the device', {
    when: and(startIs('running'), at('none', 'active')),
    set: [start.to(START.stopping)],
    labels: ['guest'],
  });
  for (const ring of rings) {
    const others = rings.filter((other) => other !== ring);
    const stop = (name: string, when: Expression, last: boolean) =>
      model.action(`ring ${ring.index}: ${name}`, {
        when: and(startIs('stopping'), attached(ring), when),
        sync: [ring.chart.on('DETACH'), ...(last ? [device.on('HALT')] : [])],
        set: [ring.ready.to(0)],
        chart: { from: VMM, to: BACK_END, text: `GET_VRING_BASE ${ring.index}` },
        events: message('GET_VRING_BASE', { kind: 'vring_base_read', index: ring.index }),
        labels: ['progress'],
      });
    if (others.length > 0) stop('GET_VRING_BASE, it stops', or(...others.map(attached)), false);
    stop('GET_VRING_BASE, the last one stops', and(...others.map((other) => not(attached(other)))), true);
  }
  model.action('VMM: the device is stopped', {
    when: and(startIs('stopping'), not(anyAttached), not(logging)),
    set: [start.to(START.stopped)],
    labels: ['progress'],
  });
  model.action('VMM: the device is stopped, the log is harvested and released', {
    when: and(startIs('stopping'), not(anyAttached), logging),
    set: [
      start.to(START.stopped),
      released.to(1),
      exchanged.to(0),
      ...harvested(variant('put-without-sync')),
    ],
    labels: ['progress'],
  });

  // The back end works.
  const marks = (page: Page, gate: Expression): Assignment[] => [
    page.stale.to(1),
    page.logged.to(either(and(gate, logAll, hasBase, eq(released, 0)), 1, page.logged)),
  ];
  for (const ring of rings) {
    for (const page of buffers)
      model.action(`ring ${ring.index}: writes ${page.name}`, {
        when: attached(ring),
        set: marks(page, 1),
        chart: { from: BACK_END, text: `writes ${page.name} (ring ${ring.index})` },
        labels: ['write'],
      });
    model.action(`ring ${ring.index}: writes its used part`, {
      when: attached(ring),
      set: marks(ring.used, ring.chart.in('logging', 'logged')),
      chart: { from: BACK_END, text: `writes ${ring.used.name}` },
      labels: ['write'],
    });
  }

  // The migration.
  const stopped = startIs('stopped');
  const running = startIs('running');
  const begun = each(({ stale, pending, logged, old }) => [
    stale.to(1),
    pending.to(1),
    logged.to(0),
    old.to(0),
  ]);
  model.action('VMM: migrate, with the device stopped', {
    when: and(at('none'), stopped),
    set: [phase.to(PHASE.active), released.to(1), ...begun],
    labels: ['user'],
  });
  const late = variant('base-late');
  const base = (name: string, from: keyof typeof PHASE, to: keyof typeof PHASE) =>
    model.action(`VMM: ${name}`, {
      when: and(at(from), running),
      sync: [vmm.on('LOG.base'), device.on('LOG.base')],
      set: [phase.to(PHASE[to]), released.to(0), ...(from === 'none' ? begun : [])],
      chart: { from: VMM, to: BACK_END, text: 'SET_LOG_BASE' },
      events: message('SET_LOG_BASE', { kind: 'vhost_log_base' }),
      labels: [from === 'none' ? 'user' : 'progress'],
    });
  const all = (name: string, from: keyof typeof PHASE, to: keyof typeof PHASE) =>
    model.action(`VMM: ${name}`, {
      when: and(at(from), running),
      sync: [vmm.on('LOG_ALL.on'), device.on('LOG_ALL.on')],
      set: [phase.to(PHASE[to]), ...(from === 'none' ? begun : [])],
      chart: { from: VMM, to: BACK_END, text: 'SET_FEATURES +LOG_ALL' },
      events: message('SET_FEATURES', features(true)),
      labels: [from === 'none' ? 'user' : 'progress'],
    });
  if (late) {
    all('migrate: SET_FEATURES with LOG_ALL', 'none', 'base');
    base('SET_LOG_BASE', 'base', 'features');
  } else {
    base('migrate: SET_LOG_BASE', 'none', 'base');
    all('SET_FEATURES with LOG_ALL', 'base', 'features');
  }
  for (const ring of rings) {
    if (variant('ring-flag-forgotten')) break;
    model.action(`ring ${ring.index}: SET_VRING_ADDR, log flag on`, {
      when: and(at('features'), ring.chart.in('logging', 'plain')),
      sync: [ring.chart.on('ADDR.log'), vmm.on('FLAG.on')],
      chart: { from: VMM, to: BACK_END, text: `SET_VRING_ADDR ${ring.index} +F_LOG` },
      events: message('SET_VRING_ADDR', { kind: 'vring_addr', index: ring.index, log: true }),
      labels: ['progress'],
    });
  }
  model.action('VMM: the log is on', {
    when: and(
      at('features'),
      variant('ring-flag-forgotten') ? 1 : and(...rings.map(({ chart }) => chart.in('logging', 'logged'))),
    ),
    set: [phase.to(PHASE.active)],
    labels: ['progress'],
  });
  for (const page of pages)
    model.action(`VMM: sends ${page.name}`, {
      when: and(at('active', 'final'), eq(page.pending, 1)),
      set: [page.pending.to(0), page.stale.to(0)],
      chart: { from: VMM, to: 'destination', text: page.name },
      labels: ['progress'],
    });
  const someLogged = or(...pages.flatMap(({ logged, old }) => [eq(logged, 1), eq(old, 1)]));
  model.action('VMM: harvests the log', {
    when: and(at('active'), someLogged),
    set: variant('read-then-clear')
      ? each(({ logged, old, pending }) => [pending.to(max(pending, logged, old)), old.to(0)])
      : [...harvested(false), exchanged.to(0)],
    labels: ['progress'],
  });
  if (variant('read-then-clear'))
    model.action('VMM: clears the log', {
      when: and(at('active'), someLogged),
      set: each(({ logged }) => [logged.to(0)]),
      labels: ['progress'],
    });
  if (!variant('no-exchange')) {
    model.action('VMM: guest memory grows, SET_LOG_BASE of a larger log', {
      when: and(at('active'), running, eq(exchanged, 0)),
      sync: [vmm.on('LOG.base'), device.on('LOG.base')],
      set: [exchanged.to(1), ...each(({ logged, old }) => [old.to(logged), logged.to(0)])],
      chart: { from: VMM, to: BACK_END, text: 'SET_LOG_BASE (larger)' },
      events: message('SET_LOG_BASE', { kind: 'vhost_log_base' }),
      labels: ['guest'],
    });
    model.action('VMM: the old log is harvested and dropped', {
      when: eq(exchanged, 1),
      set: [
        exchanged.to(0),
        ...each(({ old, pending }) => [
          ...(variant('dropped-before-sync') ? [] : [pending.to(max(pending, old))]),
          old.to(0),
        ]),
      ],
      labels: ['progress'],
    });
  }
  // The switchover: the device stops, the log is harvested for the last time, the rest is sent.
  model.action('VMM: switchover', {
    when: and(at('active'), variant('never-switches-over') ? 0 : 1),
    set: [phase.to(PHASE.switchover)],
    labels: ['switchover'],
  });
  const hasty = variant('harvest-before-stop');
  model.action('VMM: stops the device for the switchover', {
    when: and(hasty ? at('final') : at('switchover'), running),
    set: [start.to(START.stopping)],
    labels: ['progress'],
  });
  model.action('VMM: the last harvest', {
    when: and(
      at('switchover'),
      hasty ? or(running, stopped) : stopped,
      variant('waits-for-a-bit') ? someLogged : 1,
    ),
    set: [phase.to(PHASE.final), exchanged.to(0), ...harvested(false)],
    labels: ['progress'],
  });
  model.action('VMM: the migration completes', {
    when: and(
      at('final'),
      variant('harvest-before-stop') ? stopped : 1,
      ...pages.map(({ pending }) => eq(pending, 0)),
    ),
    set: [phase.to(PHASE.completed)],
    labels: ['progress'],
  });

  // A cancel switches the log off: LOG_ALL, the rings' flags, and then it is released.
  const settled = each(({ stale, logged, old, pending }) => [
    stale.to(0),
    logged.to(0),
    old.to(0),
    pending.to(0),
  ]);
  model.action('VMM: cancel, with the device stopped', {
    when: and(at('active'), stopped),
    set: [phase.to(PHASE.none), exchanged.to(0), ...settled],
    labels: ['user'],
  });
  const early = variant('released-early');
  model.action('VMM: cancel, with the device running', {
    when: and(at('active'), running, variant('no-cancel') ? 0 : 1),
    set: [phase.to(PHASE.cancelling), ...(early ? [released.to(1)] : [])],
    labels: ['user'],
  });
  model.action('VMM: SET_FEATURES without LOG_ALL', {
    when: at('cancelling'),
    sync: [vmm.on('LOG_ALL.off'), device.on('LOG_ALL.off')],
    set: [phase.to(PHASE.release)],
    chart: { from: VMM, to: BACK_END, text: 'SET_FEATURES -LOG_ALL' },
    events: message('SET_FEATURES', features(false)),
    labels: ['progress'],
  });
  for (const ring of rings)
    model.action(`ring ${ring.index}: SET_VRING_ADDR, log flag off`, {
      when: and(at('release'), ring.chart.in('logging', 'logged')),
      sync: [ring.chart.on('ADDR.plain'), vmm.on('FLAG.off')],
      chart: { from: VMM, to: BACK_END, text: `SET_VRING_ADDR ${ring.index} -F_LOG` },
      events: message('SET_VRING_ADDR', { kind: 'vring_addr', index: ring.index, log: false }),
      labels: ['progress'],
    });
  model.action('VMM: the log is released', {
    when: and(at('release'), ...rings.map(({ chart }) => chart.in('logging', 'plain'))),
    set: [phase.to(PHASE.none), released.to(1), exchanged.to(0), ...settled],
    labels: ['progress'],
  });

  model.never(
    'no-page-lost',
    'When a migration has completed, no page differs from what was sent.',
    and(at('completed'), or(...pages.map(({ stale }) => eq(stale, 1)))),
  );
  model.never(
    'no-run-without-log',
    'No ring is processed while LOG_ALL is on and there is no log.',
    and(
      anyAttached,
      logAll,
      or(not(hasBase), and(logging, eq(released, 1), variant('released-early') ? 0 : 1)),
    ),
  );
  model.neverStep(
    'no-write-to-released-log',
    'Nothing is marked in a log that the VMM has released.',
    'write',
    and(logAll, hasBase, eq(released, 1), not(logging)),
  );
  model.never(
    'last-harvest-after-stop',
    'The log is harvested for the last time when no ring is processed any more.',
    and(at('final'), anyAttached),
  );
  model.leadsTo(
    'migration-ends',
    'A migration completes or is cancelled, whatever the guest and the back end do.',
    not(at('none', 'completed')),
    at('none', 'completed'),
    ['progress', 'switchover'],
  );
  model.sometimes('completed', 'A migration completes that has sent a page twice or once.', at('completed'));
  model.sometimes('cancelled', 'A migration is cancelled while rings run.', and(at('release'), anyAttached));
  model.sometimes(
    'exchanged',
    'The log is exchanged while it holds a bit.',
    and(eq(exchanged, 1), someLogged),
  );
  model.sometimes(
    'started-while-logging',
    'The device is started while a migration is under way.',
    and(at('active'), startIs('features')),
  );
  model.sound(at('completed'));
  model.symmetric('pages', buffers.map(namesOf));
  model.symmetric(
    'rings',
    rings.map(({ chart, used, ready }) => [chart.name, ready.variable, ...namesOf(used)]),
  );
  return model.build();
}

const namesOf = ({ stale, logged, old, pending }: Page): string[] =>
  [stale, logged, old, pending].map(({ variable }) => variable);

type Body<E> = E extends TraceEvent ? Omit<E, 'host' | 'device' | 'interface'> : never;

/** What a recording has of a request: the message, and what it says. */
function message(request: VhostUserRequest, body: Body<TraceEvent>): TraceEvent[] {
  const on = { host: HOST, device: DEVICE };
  return [
    { kind: 'vhost_message', ...on, request, from: 'front_end', reply: false },
    { ...on, interface: 'user', errno: 0, ...body } as unknown as TraceEvent,
  ];
}

function features(log: boolean): Body<TraceEvent> {
  return { kind: 'vhost_set_features', features: log ? 2 ** VHOST_FEATURES.LOG_ALL : 0 };
}
