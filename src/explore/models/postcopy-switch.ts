import type { TraceEvent } from '../../trace/event.js';
import type { MigState } from '../../uapi/vfio.js';
import { and, either, eq, ge, ne, or } from '../expression.js';
import { AT, FAULT, type Page, type Postcopy, SENT, STAGE, WAY } from './postcopy-parts.js';
import { runEvents, statusEvent } from './vmm-events.js';

const BACK_END = 'vhost0';
const VFIO_DEVICE = 'vf0';

/** Set-up, up to POSTCOPY_ADVISE. */
export function begin(parts: Postcopy): void {
  const { model } = parts;
  model.action('source: the VM runs', {
    sync: [parts.run.src.on('RUN.prelaunch.running')],
    events: runEvents('src', 'prelaunch', 'running'),
    labels: ['user'],
  });
  model.action('source: the VM runs, with a VFIO device', {
    sync: [parts.run.src.on('RUN.prelaunch.running')],
    set: [parts.vfio.to(1)],
    events: [
      { kind: 'device_open', host: 'src', device: VFIO_DEVICE },
      ...runEvents('src', 'prelaunch', 'running'),
      ...startEvents('RUNNING_P2P', 'vmstate_prepare'),
      ...startEvents('RUNNING', 'vmstate_change'),
    ],
    labels: ['user'],
  });
  model.action('destination: migrate-incoming', {
    sync: [parts.run.dst.on('RUN.prelaunch.inmigrate'), parts.becomes('dst', 'setup')],
    events: [...runEvents('dst', 'prelaunch', 'inmigrate'), statusEvent('dst', 'setup')],
    labels: ['user'],
  });
  const ready = and(parts.runs('src'), parts.statusIs('src', 'none'), parts.statusIs('dst', 'setup'));
  model.action('source: migrate is refused, there is a VFIO device', {
    when: and(ready, eq(parts.vfio, 1)),
    labels: ['user'],
  });
  model.action('source: migrate', {
    when: and(ready, parts.is('vfio-not-refused') ? 1 : eq(parts.vfio, 0)),
    sync: [parts.becomes('src', 'setup')],
    events: [statusEvent('src', 'setup'), { kind: 'source_setup', host: 'src' }],
    labels: ['user'],
  });
  model.action('source: POSTCOPY_ADVISE', {
    when: parts.statusIs('src', 'setup'),
    sync: [parts.becomes('src', 'active')],
    set: [parts.sent.to(SENT.advise)],
    chart: { from: 'source', to: 'destination', text: 'POSTCOPY_ADVISE' },
    events: [statusEvent('src', 'active'), { kind: 'return_path_opened', host: 'src' }],
    labels: ['progress'],
  });
  model.action('destination: takes POSTCOPY_ADVISE', {
    when: and(ge(parts.sent, SENT.advise), eq(parts.stage, STAGE.none), eq(parts.cut, 0)),
    sync: [parts.becomes('dst', 'active'), parts.backEnd.on('ADVISE')],
    set: [parts.stage.to(STAGE.advised)],
    events: [
      statusEvent('dst', 'active'),
      { kind: 'destination_setup', host: 'dst' },
      backEndEvent('advise'),
    ],
    labels: ['progress'],
  });
}

/** Pages are copied while the VM runs at the source. */
export function precopy(parts: Postcopy, { name, dirty, way, at, fault }: Page): void {
  const active = parts.statusIs('src', 'active');
  parts.model.action(`guest: writes ${name} at the source`, {
    when: and(active, parts.runs('src'), eq(dirty, 0)),
    set: [dirty.to(1), at.to(either(eq(at, AT.current), AT.old, at))],
    labels: ['guest'],
  });
  parts.model.action(`source: sends ${name} in pre-copy`, {
    when: and(active, eq(parts.cut, 0), eq(dirty, 1), eq(way, WAY.none)),
    set: [dirty.to(0), way.to(WAY.precopy)],
    chart: { from: 'source', to: 'destination', text: name },
    labels: ['background'],
  });
  parts.model.action(`destination: takes ${name} in pre-copy`, {
    when: and(eq(way, WAY.precopy), ge(parts.stage, STAGE.advised)),
    set: [way.to(WAY.none), at.to(either(eq(dirty, 1), AT.old, AT.current)), fault.to(FAULT.none)],
    labels: ['progress'],
  });
}

/** The VM stops, dirty pages are discarded, and the package follows. */
export function switchOver(parts: Postcopy): void {
  const { model, sent, stage } = parts;
  const early = parts.is('qemu-10.1');
  model.action('source: migrate_start_postcopy, the VM stops', {
    when: and(parts.statusIs('src', 'active'), eq(parts.cut, 0)),
    sync: [parts.becomes('src', 'device'), parts.run.src.on('RUN.running.finish-migrate')],
    events: [
      { kind: 'postcopy_start', host: 'src' },
      ...runEvents('src', 'running', 'finish-migrate'),
      statusEvent('src', 'device'),
    ],
    labels: ['user'],
  });
  model.action('source: RAM_DISCARD of all dirty pages', {
    when: and(parts.statusIs('src', 'device'), eq(parts.cut, 0), eq(sent, SENT.advise)),
    set: [sent.to(SENT.discard)],
    chart: { from: 'source', to: 'destination', text: 'POSTCOPY_RAM_DISCARD' },
    labels: ['progress'],
  });
  model.action('destination: discards the dirty pages', {
    when: and(
      ge(sent, SENT.discard),
      eq(stage, STAGE.advised),
      eq(parts.cut, 0),
      parts.is('discard-overtakes') ? 1 : parts.all(({ way }) => ne(way, WAY.precopy)),
    ),
    set: [
      stage.to(STAGE.discarded),
      // Those that were sent since were dirty too.
      ...(parts.is('no-discard')
        ? []
        : parts.each(({ dirty, way, at }) =>
            at.to(either(or(eq(dirty, 1), eq(way, WAY.postcopy)), AT.absent, at)),
          )),
    ],
    labels: ['progress'],
  });
  model.action('source: the package: LISTEN, device state, PING 0x42, RUN', {
    when: and(parts.statusIs('src', 'device'), eq(parts.cut, 0), eq(sent, SENT.discard)),
    sync: [parts.becomes('src', early ? 'postcopy-active' : 'postcopy-device')],
    set: [sent.to(SENT.package)],
    chart: { from: 'source', to: 'destination', text: 'LISTEN, device state, PING 0x42, RUN' },
    events: [statusEvent('src', early ? 'postcopy-active' : 'postcopy-device')],
    labels: ['progress'],
  });
  model.action('destination: LISTEN', {
    when: and(eq(sent, SENT.package), eq(stage, STAGE.discarded), eq(parts.cut, 0)),
    sync: [parts.becomes('dst', early ? 'postcopy-active' : 'postcopy-device'), parts.backEnd.on('LISTEN')],
    set: [stage.to(STAGE.listening)],
    events: [statusEvent('dst', early ? 'postcopy-active' : 'postcopy-device'), backEndEvent('listen')],
    labels: ['progress'],
  });
  run(parts, early);
}

/** The device state is loaded, which the source hears of, and the VM runs. */
function run(parts: Postcopy, early: boolean): void {
  const { model, stage } = parts;
  model.action('destination: device state is loaded, PONG 0x42', {
    when: and(
      eq(stage, STAGE.listening),
      eq(parts.cut, 0),
      parts.all(({ fault }) => eq(fault, FAULT.none)),
    ),
    set: [stage.to(STAGE.loaded), ...(early ? [] : [parts.pong.to(1)])],
    chart: { from: 'destination', to: 'source', text: 'PONG 0x42' },
    labels: ['progress'],
  });
  if (!early)
    model.action('source: takes PONG 0x42', {
      when: eq(parts.pong, 1),
      sync: [parts.becomes('src', 'postcopy-active')],
      set: [parts.pong.to(0)],
      events: [statusEvent('src', 'postcopy-active')],
      labels: ['progress'],
    });
  model.action('destination: RUN, the VM runs', {
    when: eq(stage, STAGE.loaded),
    sync: [
      parts.run.dst.on('RUN.inmigrate.running'),
      ...(early ? [] : [parts.becomes('dst', 'postcopy-active')]),
    ],
    set: [stage.to(STAGE.running)],
    events: [
      ...runEvents('dst', 'inmigrate', 'running'),
      ...(early ? [] : [statusEvent('dst', 'postcopy-active')]),
    ],
    labels: ['progress'],
  });
}

export function backEndEvent(step: 'advise' | 'listen' | 'end'): TraceEvent {
  return { kind: 'vhost_postcopy', host: 'dst', device: BACK_END, interface: 'user', step, errno: 0 };
}

/** A step of the start of the VFIO device. */
function startEvents(state: MigState, kind: 'vmstate_prepare' | 'vmstate_change'): TraceEvent[] {
  const on = { host: 'src', device: VFIO_DEVICE };
  return [
    { kind: 'set_state', ...on, state, recover: 'ERROR' },
    { kind: 'set_state_result', ...on, state, errno: 0, dataFd: false },
    { kind, ...on, running: true, reason: 'running' },
  ];
}
