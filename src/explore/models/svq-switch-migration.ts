import { and, type Expression, eq, not, or } from '../expression.js';
import type { Assignment, Sync } from '../model.js';
import * as told from './svq-switch-events.js';
import { INDEX, LANE, PHASE, type SvqParts, VMM } from './svq-switch-parts.js';
import { statusEvent, vmStateEvent } from './vmm-events.js';

/** A migration in the model `svq-switch`, and the way back from one that comes to nothing. */
export function addMigration(parts: SvqParts): void {
  addSetUp(parts);
  addTransfer(parts);
  addFailures(parts);
  addRestarts(parts);
  addEnds(parts);
}

/** The device is switched to shadow virtqueues before the migration is active. */
function addSetUp(parts: SvqParts): void {
  const { model } = parts;
  model.action('VMM: migrate', {
    when: and(parts.at('none'), parts.device.in('late', 'allowed'), parts.settled()),
    sync: [parts.shadow.on('MIGRATION.setup')],
    set: [parts.phase.to(PHASE.setup), ...parts.each(({ stale, marked }) => [stale.to(1), marked.to(1)])],
    events: [statusEvent(told.host, 'setup')],
    labels: ['user'],
  });
  const [noSwitch, noStop] = [parts.is('no-switch'), parts.is('switch-without-stop')];
  if (noStop) addSwitchWithoutStop(parts);
  else if (!noSwitch) addBegin(parts, 'stops the device, to put in its own rings', parts.at('setup'), 0);
  const active = (name: string, when: Expression, sync: readonly Sync[]) =>
    model.action(`VMM: the migration is active, ${name}`, {
      when: and(parts.at('setup'), not(parts.commandIs('refused')), when),
      sync,
      set: [parts.phase.to(PHASE.active)],
      events: [statusEvent(told.host, 'active')],
      labels: ['progress'],
    });
  const heard = [parts.shadow.on('MIGRATION.active')];
  const shadowed = and(parts.vmmIs('running'), noSwitch ? 1 : eq(parts.svq, 1));
  // The chart refuses it of a device that was not switched.
  active('the device works on shadow virtqueues', shadowed, noSwitch || noStop ? [] : heard);
  active('the device is not set up yet', eq(parts.driver, 0), heard);
}

/** What a mutant does in the place of a stop and a start. */
function addSwitchWithoutStop(parts: SvqParts): void {
  parts.model.action('VMM: sets up its own rings while the device works', {
    when: and(parts.at('setup'), parts.vmmIs('running'), eq(parts.svq, 0)),
    // The guest's used indices tell where they go on.
    set: [parts.svq.to(1), ...parts.each(({ base }) => [base.to(INDEX.right)])],
    chart: { from: LANE.vmm, to: LANE.device, text: 'SET_VRING_ADDR of the shadow rings' },
    events: parts.rings.flatMap(({ index }) => told.ringRefused(index)),
    labels: ['progress', 'set-up'],
  });
}

/** Pages are sent; the VM is stopped, and with it the device; what is left is sent. */
function addTransfer(parts: SvqParts): void {
  const { model } = parts;
  for (const { index, marked, stale } of parts.rings)
    model.action(`VMM: sends the pages of ring ${index}`, {
      when: and(parts.at('active', 'final'), eq(marked, 1)),
      set: [marked.to(0), stale.to(0)],
      chart: { from: LANE.vmm, to: LANE.destination, text: `pages of ring ${index}` },
      labels: ['progress'],
    });
  const stop = (name: string, when: Expression, works: boolean) =>
    model.action(`VMM: stops the VM for the switchover, ${name}`, {
      when: and(parts.at('active'), when),
      set: [parts.phase.to(PHASE.switchover), ...(works ? [parts.vmm.to(VMM.stopping)] : [])],
      events: [
        vmStateEvent(told.host, false),
        statusEvent(told.host, 'device'),
        ...(works ? [told.stopOf(true)] : []),
      ],
      labels: ['switchover'],
    });
  stop('and the device', parts.vmmIs('running'), true);
  stop('the device was not set up', eq(parts.driver, 0), false);
  model.action('VMM: all is stopped', {
    when: and(parts.at('switchover'), parts.vmmIs('stopped')),
    set: [parts.phase.to(PHASE.final)],
    labels: ['progress'],
  });
  if (parts.is('never-completes')) return;
  const isSent = and(...parts.rings.map(({ marked }) => eq(marked, 0)));
  model.action('VMM: the migration completes', {
    when: and(parts.at('final'), parts.is('pages-left') ? 1 : isSent),
    sync: [parts.shadow.on('MIGRATION.completed')],
    set: [parts.phase.to(PHASE.completed)],
    events: [statusEvent(told.host, 'completed')],
    labels: ['progress'],
  });
}

/** The VMM begins to stop a device that works on rings of the guest, or of its own, to exchange them. */
function addBegin(parts: SvqParts, name: string, when: Expression, svq: number): void {
  parts.model.action(`VMM: ${name}`, {
    when: and(when, parts.vmmIs('running'), eq(parts.svq, svq)),
    set: [parts.vmm.to(VMM.stopping)],
    events: [told.stopOf(true)],
    labels: ['progress'],
  });
}

/** A cancel, and a failure of a VM that has stopped. */
function addFailures(parts: SvqParts): void {
  const { model, again } = parts;
  model.action('VMM: cancel', {
    when: and(parts.at('setup', 'active'), parts.settled()),
    sync: [parts.shadow.on('MIGRATION.failed')],
    set: [parts.phase.to(PHASE.cancelling), ...(again === null ? [] : [again.to(0)])],
    events: [statusEvent(told.host, 'cancelling')],
    labels: ['user'],
  });
  model.action('VMM: the migration fails, the VM goes on', {
    when: parts.at('final'),
    sync: [parts.shadow.on('MIGRATION.failed')],
    set: [parts.phase.to(PHASE.failing)],
    events: [statusEvent(told.host, 'failing'), vmStateEvent(told.host, true)],
    labels: ['fault'],
  });
}

/** A device that was stopped to exchange its rings is started on the others. */
function addRestarts(parts: SvqParts): void {
  const { again } = parts;
  const cancelling = and(parts.at('cancelling'), again === null ? 1 : eq(again, 0));
  if (!parts.is('shadow-kept'))
    addBegin(parts, 'stops the device, to take its own rings away', or(parts.at('failing'), cancelling), 1);
  const start = (name: string, when: Expression, svq: number, set: readonly Assignment[] = []) =>
    parts.model.action(`VMM: starts the device on ${name}`, {
      when: and(parts.vmmIs('stopped'), eq(parts.driver, 1), not(parts.commandIs('refused')), when),
      set: [parts.vmm.to(VMM.starting), parts.svq.to(svq), ...set],
      events: [told.startOf(true)],
      labels: ['progress'],
    });
  if (!parts.is('no-switch', 'switch-without-stop')) start('its own rings', parts.at('setup'), 1);
  if (!parts.is('stays-stopped'))
    start("the guest's rings", again === null ? parts.at('cancelling', 'failing') : parts.at('failing'), 0);
  if (again !== null) start('its own rings again', parts.at('cancelling'), 1, [again.to(1)]);
}

/** The end of a migration that came to nothing: the device is on the guest's rings again. */
function addEnds(parts: SvqParts): void {
  const { again } = parts;
  const isOff = eq(parts.svq, 0);
  const isBack = parts.is('shadow-kept') ? 1 : again === null ? isOff : or(isOff, eq(again, 1));
  const end = (phase: 'cancelling' | 'failing', words: string, status: 'cancelled' | 'failed') =>
    parts.model.action(`VMM: the migration has ${words}`, {
      when: and(parts.at(phase), or(eq(parts.driver, 0), and(parts.vmmIs('running'), isBack))),
      set: [
        parts.phase.to(PHASE.none),
        ...parts.each(({ stale, marked }) => [stale.to(0), marked.to(0)]),
        ...(again === null ? [] : [again.to(0)]),
      ],
      events: [statusEvent(told.host, status)],
      labels: ['progress'],
    });
  end('cancelling', 'been cancelled', 'cancelled');
  end('failing', 'failed', 'failed');
}
