import type { TraceEvent } from '../../trace/event.js';
import type { ComponentHandle, VariableHandle } from '../builder.js';
import { and, type Expression, either, eq, gt, minus, not } from '../expression.js';
import type { Model, ModelOptions, Sync } from '../model.js';
import { addBuffers } from './svq-switch-buffers.js';
import * as told from './svq-switch-events.js';
import { addMigration } from './svq-switch-migration.js';
import { COMMAND, INDEX, LANE, PHASE, type Ring, SvqParts, VMM } from './svq-switch-parts.js';
import { addProperties } from './svq-switch-properties.js';
import { statusEvent } from './vmm-events.js';

/** Makes the model `svq-switch`. */
export function buildSvqSwitch(options: ModelOptions, title: string): Model {
  const parts = new SvqParts(options, title);
  addOpen(parts);
  addStart(parts);
  if (parts.control !== null) addRestore(parts, parts.control, parts.command!);
  addStop(parts);
  for (const ring of parts.rings) addBuffers(parts, ring);
  addMigration(parts);
  addProperties(parts);
  parts.model.symmetric(
    'rings',
    parts.rings.map(({ chart, made, used, taken, base, stale, marked }) => [
      chart.name,
      ...[made, used, taken, base, stale, marked].map(({ variable }) => variable),
    ]),
  );
  return parts.model.build();
}

function addOpen(parts: SvqParts): void {
  parts.model.action('VMM: opens the device', {
    when: parts.device.in('late', 'not_allowed'),
    sync: [parts.device.on('BACKEND.late')],
    chart: { from: LANE.vmm, to: LANE.device, text: 'SET_BACKEND_FEATURES' },
    events: told.opened,
    labels: ['progress'],
  });
  parts.model.action('guest: DRIVER_OK, the VMM starts the device', {
    when: and(eq(parts.driver, 0), parts.device.in('late', 'allowed'), parts.at('none', 'setup', 'active')),
    set: [
      parts.driver.to(1),
      parts.vmm.to(VMM.starting),
      parts.svq.to(parts.is('no-switch') ? 0 : either(parts.at('none'), 0, 1)),
    ],
    chart: { from: LANE.guest, to: LANE.vmm, text: 'DRIVER_OK' },
    events: [told.startOf(true)],
    labels: ['guest'],
  });
}

/** From reset to DRIVER_OK, on the rings of whoever `svq` says. */
function addStart(parts: SvqParts): void {
  const starting = parts.vmmIs('starting');
  parts.model.action('VMM: negotiates, FEATURES_OK', {
    when: and(starting, parts.device.in('status', 'reset')),
    sync: [parts.device.on('STATUS.features_ok')],
    chart: { from: LANE.vmm, to: LANE.device, text: 'SET_STATUS FEATURES_OK' },
    events: told.negotiated,
    labels: ['progress'],
  });
  const settingUp = and(starting, parts.device.in('status', 'features_ok'));
  for (const ring of parts.rings) addSetUp(parts, ring, settingUp);
  if (parts.control !== null)
    parts.model.action('control queue: SET_VRING_BASE, SET_VRING_ADDR', {
      when: and(settingUp, parts.control.in('vdpa-vring', 'none')),
      sync: [parts.device.on('ASK.ring'), parts.control.on('ADDR')],
      chart: { from: LANE.vmm, to: LANE.device, text: 'SET_VRING_ADDR, control queue' },
      // It is the VMM's at all times, who hears by it what the guest sets: it says nothing of the data rings.
      events: told.ringSetUp(parts.rings.length),
      labels: ['progress', 'set-up'],
    });
  const ready = parts.control === null ? parts.all('ready') : parts.all('addressed');
  parts.model.action('VMM: SET_STATUS DRIVER_OK', {
    when: and(settingUp, ready, parts.control === null ? 1 : parts.control.in('vdpa-vring', 'addressed')),
    sync: [parts.device.on('STATUS.driver_ok'), ...parts.queues('GO')],
    set: parts.control === null ? [parts.vmm.to(VMM.running)] : [],
    chart: { from: LANE.vmm, to: LANE.device, text: 'SET_STATUS DRIVER_OK' },
    events: [told.driverOk, ...(parts.control === null ? [told.startOf(false)] : [])],
    labels: ['progress'],
  });
}

function addSetUp(parts: SvqParts, ring: Ring, settingUp: Expression): void {
  const { index, chart } = ring;
  const setUp = (name: string, shadow: boolean, when: Expression, sync: readonly Sync[]) =>
    parts.model.action(`ring ${index}: SET_VRING_BASE, SET_VRING_ADDR ${name}`, {
      when: and(settingUp, chart.in('vdpa-vring', 'none'), eq(parts.svq, Number(shadow)), when),
      sync: [parts.device.on('ASK.ring'), chart.on('ADDR'), ...sync],
      chart: { from: LANE.vmm, to: LANE.device, text: `SET_VRING_ADDR ${index} ${name}` },
      events: told.ringSetUp(index, shadow),
      labels: ['progress', 'set-up'],
    });
  const wrongly = parts.is('qemu-11.1') ? parts.at('cancelling') : 0;
  setUp("of the guest's ring", false, 1, [parts.shadow.on('BASE.guest')]);
  setUp('of the shadow ring', true, not(wrongly), [parts.shadow.on('BASE.shadow')]);
  // The chart refuses this one.
  if (wrongly !== 0) setUp('of a shadow ring once more', true, wrongly, []);
  const late = parts.control !== null;
  const may = parts.is('rings-before-acks') ? not(parts.commandIs('none')) : parts.commandIs('acknowledged');
  parts.model.action(`ring ${index}: SET_VRING_ENABLE`, {
    when: late
      ? and(parts.vmmIs('starting'), chart.in('vdpa-vring', 'waiting'), may)
      : and(settingUp, chart.in('vdpa-vring', 'addressed')),
    sync: [parts.device.on('ASK.enable'), chart.on('ENABLE.on')],
    chart: { from: LANE.vmm, to: LANE.device, text: `SET_VRING_ENABLE ${index}` },
    events: [told.ringEnabled(index)],
    labels: ['progress'],
  });
}

/** The control queue runs first, and brings the device to what the guest has set. */
function addRestore(parts: SvqParts, control: ComponentHandle, command: VariableHandle): void {
  const starting = parts.vmmIs('starting');
  const step = (
    name: string,
    draft: { when: Expression; sync?: readonly Sync[]; to?: keyof typeof COMMAND; fromDevice?: boolean },
    events: readonly TraceEvent[] = [],
  ) =>
    parts.model.action(`control queue: ${name}`, {
      when: and(starting, draft.when),
      sync: draft.sync ?? [],
      set: draft.to === undefined ? [] : [command.to(COMMAND[draft.to])],
      chart: draft.fromDevice
        ? { from: LANE.device, to: LANE.vmm, text: name }
        : { from: LANE.vmm, to: LANE.device, text: name },
      events,
      labels: ['progress'],
    });
  step(
    'SET_VRING_ENABLE',
    {
      when: and(parts.works(), control.in('vdpa-vring', 'waiting')),
      sync: [parts.device.on('ASK.enable'), control.on('ENABLE.on')],
    },
    [told.ringEnabled(parts.rings.length)],
  );
  step('what the guest has set', {
    when: and(control.in('vdpa-vring', 'running'), parts.commandIs('none')),
    to: 'sent',
  });
  step('acknowledged', { when: parts.commandIs('sent'), to: 'acknowledged', fromDevice: true }, [
    told.command(true),
  ]);
  parts.model.action('VMM: the device runs', {
    when: and(starting, parts.all('running'), parts.commandIs('acknowledged')),
    set: [parts.vmm.to(VMM.running), command.to(COMMAND.none)],
    events: [told.startOf(false)],
    labels: ['progress'],
  });
  if (parts.options.faults > 0) addRefusal(parts, command);
}

/** The device refuses the restore: the start fails, and the migration with it. */
function addRefusal(parts: SvqParts, command: VariableHandle): void {
  const { faults } = parts.options;
  const left = parts.model.variable('faults', 'how often the device may still refuse', faults, faults);
  parts.model.action('control queue: refused', {
    when: and(parts.vmmIs('starting'), parts.commandIs('sent'), parts.at('setup'), gt(left, 0)),
    set: [command.to(COMMAND.refused), left.to(minus(left, 1))],
    chart: { from: LANE.device, to: LANE.vmm, text: 'refused' },
    events: [told.command(false)],
    labels: ['fault'],
  });
  parts.model.action('VMM: the start fails, the device is reset', {
    when: and(parts.vmmIs('starting'), parts.commandIs('refused')),
    sync: [parts.device.on('STATUS.reset'), parts.shadow.on('RESET'), ...parts.queues('RESET')],
    set: [parts.vmm.to(VMM.stopped)],
    chart: { from: LANE.vmm, to: LANE.device, text: 'SET_STATUS 0' },
    events: [told.reset],
    labels: ['progress'],
  });
  parts.model.action('VMM: the migration fails at its set-up', {
    when: and(parts.vmmIs('stopped'), parts.commandIs('refused')),
    sync: [parts.shadow.on('MIGRATION.failed')],
    set: [parts.phase.to(PHASE.failing), command.to(COMMAND.none)],
    events: [statusEvent(told.host, 'failing')],
    labels: ['progress'],
  });
}

/** Suspend, read the indices, reset. */
function addStop(parts: SvqParts): void {
  const { model } = parts;
  model.action('VMM: SUSPEND', {
    when: and(parts.vmmIs('stopping'), parts.works()),
    sync: [parts.device.on('SUSPEND.ok')],
    chart: { from: LANE.vmm, to: LANE.device, text: 'SUSPEND' },
    events: [told.suspended],
    labels: parts.is('suspend-hangs') ? [] : ['progress'],
  });
  addReading(parts, and(parts.vmmIs('stopping'), parts.device.in('suspend', 'suspended')));
  model.action('VMM: SET_STATUS 0, the device is stopped', {
    when: parts.vmmIs('read'),
    sync: [parts.device.on('STATUS.reset'), parts.shadow.on('RESET'), ...parts.queues('RESET')],
    // What the device had of a guest's ring is there as before.
    set: [parts.vmm.to(VMM.stopped), ...parts.each(({ taken }) => [taken.to(0)])],
    chart: { from: LANE.vmm, to: LANE.device, text: 'SET_STATUS 0' },
    events: [told.reset, told.stopOf(false)],
    labels: ['progress'],
  });
}

/** The indices of a suspended device: from itself, or from the shadow rings, which end. */
function addReading(parts: SvqParts, suspended: Expression): void {
  const skips = parts.is('in-flight-skipped');
  const read = parts.each(({ base, taken }) => [
    base.to(skips ? either(gt(taken, 0), INDEX.late, INDEX.right) : INDEX.right),
  ]);
  parts.model.action('VMM: GET_VRING_BASE of all rings', {
    when: and(suspended, eq(parts.svq, 0)),
    sync: [parts.device.on('ASK.base')],
    set: [parts.vmm.to(VMM.read), ...(parts.is('index-not-read') ? [] : read)],
    chart: { from: LANE.vmm, to: LANE.device, text: 'GET_VRING_BASE' },
    events: parts.rings.map(({ index }) => told.baseRead(index, false)),
    labels: ['progress'],
  });
  const flush = ({ made, used, marked }: Ring) => [
    made.to(minus(made, used)),
    ...parts.marking(marked, gt(used, 0)),
  ];
  const drop = ({ base, used }: Ring) => [base.to(either(gt(used, 0), INDEX.early, base))];
  const last = parts.is('used-not-flushed') ? drop : flush;
  parts.model.action('VMM: the shadow rings end, their indices are its own', {
    when: and(suspended, eq(parts.svq, 1)),
    set: [
      parts.vmm.to(VMM.read),
      ...parts.each((ring) => [...last(ring), ring.used.to(0), ring.taken.to(0)]),
    ],
    events: parts.rings.map(({ index }) => told.baseRead(index, true)),
    labels: ['progress'],
  });
}
