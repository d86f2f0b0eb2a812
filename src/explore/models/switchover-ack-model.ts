import type { TraceEvent } from '../../trace/event.js';
import type { MigState } from '../../uapi/vfio.js';
import { and, type Expression, eq, gt, max, not } from '../expression.js';
import type { Assignment, Model, ModelEntry, ModelOptions } from '../model.js';
import {
  acknowledge,
  acknowledgeLegacy,
  announce,
  count,
  countLegacy,
  iterates,
  reinit,
} from './switchover-ack-data.js';
import { type AckDevice, SwitchoverAck } from './switchover-ack-parts.js';
import { switchoverAckProperties } from './switchover-ack-properties.js';
import { granted, sameCapabilities, setStateEvents } from './vfio-parts.js';
import { runEvents, saveEvent, statusEvent } from './vmm-events.js';

const HOST = 'src';

export function buildSwitchoverAck(entry: ModelEntry, options: ModelOptions): Model {
  const parts = new SwitchoverAck(entry, options);
  begin(parts);
  if (parts.legacy) countLegacy(parts);
  else count(parts);
  decide(parts);
  complete(parts);
  if (!parts.legacy) failLate(parts);
  for (const each of parts.devices) {
    announce(parts, each);
    if (parts.legacy) acknowledgeLegacy(parts, each);
    else acknowledge(parts, each);
    reinit(parts, each);
    stop(parts, each);
    if (!parts.legacy) startAgain(parts, each);
  }
  switchoverAckProperties(parts);
  parts.model.symmetric('devices', members(parts));
  return parts.model.build();
}

/** What belongs to each device, when they have the same capabilities. */
function members({ devices }: SwitchoverAck): string[][] {
  if (!sameCapabilities(devices.map(({ device }) => device))) return [];
  return devices.map(({ device, initial, again, requested, onTheWay, loaded, legacy }) => [
    device.chart.name,
    ...[initial, again, requested, onTheWay, loaded, ...Object.values(legacy ?? {})].map(
      ({ variable }) => variable,
    ),
  ]);
}

/** A request to a device, with what follows it in a recording. */
function request(
  parts: SwitchoverAck,
  { name, device }: AckDevice,
  [from, to]: readonly [MigState, MigState],
  draft: {
    when: Expression;
    recover: MigState;
    set?: Assignment[];
    after?: TraceEvent;
  },
): void {
  const { when, recover, set = [], after } = draft;
  parts.model.action(`${name}: SET_STATE ${to} from ${from}`, {
    when: and(when, device.in(from)),
    sync: [granted(device, from, to)],
    set,
    chart: { from: 'source', to: name, text: `SET_STATE ${to}` },
    events: [...setStateEvents(device, from, to, recover), ...(after ? [after] : [])],
    labels: ['progress'],
  });
}

function begin(parts: SwitchoverAck): void {
  const { model, devices } = parts;
  model.action('source: the VM runs', {
    sync: [parts.vm.on('RUN.prelaunch.running')],
    events: runEvents(HOST, 'prelaunch', 'running'),
    labels: ['user'],
  });
  model.action('source: migrate', {
    when: and(parts.vmIs('running'), parts.statusIs('none')),
    sync: [parts.becomes('setup')],
    events: [statusEvent(HOST, 'setup'), { kind: 'source_setup', host: HOST }],
    labels: ['user'],
  });
  for (const each of devices)
    request(parts, each, ['RUNNING', 'PRE_COPY'], {
      when: parts.statusIs('setup'),
      recover: 'RUNNING',
      set: [each.initial.to(1), ...(parts.legacy ? [] : [each.requested.to(1)])],
      after: saveEvent(each.device, 'save_setup'),
    });
  model.action('source: save_setup of all is done', {
    when: and(
      parts.statusIs('setup'),
      parts.all(({ device }) => device.in('PRE_COPY')),
    ),
    sync: [parts.becomes('active')],
    events: [statusEvent(HOST, 'active')],
    labels: ['progress'],
  });
}

/** The decision, with the gate for a VM that runs; and a VM that its user has stopped. */
function decide(parts: SwitchoverAck): void {
  const { model, counted, live } = parts;
  const gate = parts.legacy ? [not(parts.waits())] : [];
  model.action('source: the switchover is decided', {
    when: and(iterates(parts), eq(counted, 1), ...gate),
    sync: [
      parts.vm.on('RUN.running.finish-migrate'),
      ...(parts.legacy || parts.is('gate-ignored') ? [] : [parts.ack.on('SWITCHOVER')]),
    ],
    events: runEvents(HOST, 'running', 'finish-migrate'),
    labels: ['decision'],
  });
  model.action('user: stops the VM', {
    when: iterates(parts),
    sync: [parts.vm.on('RUN.running.paused')],
    set: [live.to(0)],
    events: runEvents(HOST, 'running', 'paused'),
    labels: ['user'],
  });
  model.action('source: the switchover of a stopped VM is decided', {
    when: and(stopped(parts), parts.is('stop-waits') ? not(parts.waits()) : 1),
    sync: [parts.vm.on('RUN.paused.finish-migrate')],
    events: runEvents(HOST, 'paused', 'finish-migrate'),
    labels: ['progress'],
  });
}

const stopped = (parts: SwitchoverAck): Expression =>
  and(
    parts.statusIs('active'),
    parts.all(({ device }) => device.in('STOP_COPY')),
  );

/** The devices stop, all in their P2P states first; QEMU looks for REINIT once more before. */
function stop(parts: SwitchoverAck, each: AckDevice): void {
  const { name, again, requested } = each;
  const stops = and(parts.statusIs('active'), parts.vmIs('finish-migrate', 'paused'));
  const looks = !parts.legacy && !parts.is('no-last-look');
  const done = (kind: 'vmstate_prepare' | 'vmstate_change'): TraceEvent => ({
    kind,
    host: HOST,
    device: name,
    running: false,
    reason: 'finish-migrate',
  });
  request(parts, each, ['PRE_COPY', 'PRE_COPY_P2P'], {
    when: stops,
    recover: 'ERROR',
    set: looks ? [requested.to(max(requested, again)), again.to(0)] : [],
    after: done('vmstate_prepare'),
  });
  request(parts, each, ['PRE_COPY_P2P', 'STOP_COPY'], {
    when: and(stops, not(parts.some(({ device }) => device.in('PRE_COPY')))),
    recover: 'ERROR',
    after: done('vmstate_change'),
  });
}

/** Requests that the final query finds; those of a VM that was stopped before are not looked at. */
function found(parts: SwitchoverAck): Expression {
  if (parts.legacy || parts.is('final-query-ignored')) return 0;
  return and(
    eq(parts.live, 1),
    gt(
      parts.sum(({ requested }) => requested),
      0,
    ),
  );
}

function complete(parts: SwitchoverAck): void {
  const { model } = parts;
  model.action('source: all are stopped', {
    when: and(stopped(parts), parts.vmIs('finish-migrate')),
    sync: [parts.becomes('device')],
    events: [statusEvent(HOST, 'device')],
    labels: ['progress'],
  });
  const query: TraceEvent = { kind: 'query_pending', host: HOST, exact: true, final: true };
  const start: TraceEvent[] = [
    { kind: 'switchover_start', host: HOST, sent: true },
    { kind: 'switchover_start', host: 'dst', sent: false },
  ];
  model.action('source: SWITCHOVER_START, completed', {
    when: and(parts.statusIs('device'), not(found(parts))),
    sync: [parts.becomes('completed'), parts.vm.on('RUN.finish-migrate.postmigrate')],
    chart: { from: 'source', to: 'destination', text: 'SWITCHOVER_START' },
    events: [
      ...(parts.legacy ? [] : [query]),
      ...start,
      statusEvent(HOST, 'completed'),
      ...runEvents(HOST, 'finish-migrate', 'postmigrate'),
    ],
    labels: ['progress'],
  });
}

/** The final query finds a request: the migration fails, and the VM runs again. */
function failLate(parts: SwitchoverAck): void {
  const { model, devices } = parts;
  const requests = parts.sum(({ requested }) => requested);
  for (let total = 1; total <= Math.min(devices.length, parts.options.faults); total++)
    model.action(`source: the final query finds ${total} requests, the migration fails`, {
      when: and(parts.statusIs('device'), found(parts), eq(requests, total)),
      sync: [parts.becomes('failing')],
      set: devices.map(({ requested }) => requested.to(0)),
      events: [
        { kind: 'query_pending', host: HOST, exact: true, final: true, ackTotal: total },
        statusEvent(HOST, 'failing'),
      ],
      labels: ['progress'],
    });
  model.action('source: the VM starts again', {
    when: and(parts.statusIs('failing'), parts.is('no-rollback') ? 0 : 1),
    sync: [parts.vm.on('RUN.finish-migrate.running')],
    events: runEvents(HOST, 'finish-migrate', 'running'),
    labels: ['progress'],
  });
  model.action('source: failed', {
    when: and(
      parts.vmIs('running'),
      parts.statusIs('failing'),
      parts.all(({ device }) => device.in('RUNNING')),
    ),
    sync: [parts.becomes('failed')],
    events: [statusEvent(HOST, 'failed')],
    labels: ['progress'],
  });
}

function startAgain(parts: SwitchoverAck, each: AckDevice): void {
  const starts = and(parts.statusIs('failing'), parts.vmIs('running'));
  const done = (kind: 'vmstate_prepare' | 'vmstate_change'): TraceEvent => ({
    kind,
    host: HOST,
    device: each.name,
    running: true,
    reason: 'running',
  });
  request(parts, each, ['STOP_COPY', 'RUNNING_P2P'], {
    when: starts,
    recover: 'ERROR',
    after: done('vmstate_prepare'),
  });
  request(parts, each, ['RUNNING_P2P', 'RUNNING'], {
    when: and(starts, not(parts.some(({ device }) => device.in('STOP_COPY')))),
    recover: 'ERROR',
    after: done('vmstate_change'),
  });
}
