import type { TraceEvent } from '../../trace/event.js';
import type { MigState } from '../../uapi/vfio.js';
import { and, type Expression, either, eq, ge, ne, not, or } from '../expression.js';
import {
  AT,
  type Channel,
  dataWritten,
  type LoadedDevice,
  MAIN,
  type Multifd,
  PACKET,
  type Packet,
  type RamPage,
} from './multifd-parts.js';
import { callEvent, granted, setStateEvents } from './vfio-parts.js';
import { runEvents, statusEvent } from './vmm-events.js';

const HOST = 'dst';
/** Bytes of a packet in recordings. */
const PACKET_BYTES = 4096;

/** What the destination does: load_setup, the main channel, packets and pages as they come, the start. */
export function addDestination(parts: Multifd): void {
  setUp(parts);
  mainChannel(parts);
  start(parts);
  for (const channel of parts.channels) {
    hold(parts, channel);
    for (const page of parts.pages)
      for (const version of [0, 1] as const) takePage(parts, page, version, channel);
    for (const device of parts.devices)
      for (const packet of device.packets) takePacket(parts, device, packet, channel);
  }
  for (const device of parts.devices) {
    loadSetup(parts, device);
    loadConfig(parts, device);
    for (const packet of device.packets) if (!packet.config) load(parts, device, packet);
  }
}

/** What the channel holds comes through. */
const comes = (parts: Multifd, { held }: Channel): Expression =>
  and(parts.loads(), parts.is('sync-ignored') ? 1 : eq(held, 0));

function setUp(parts: Multifd): void {
  const { model, devices } = parts;
  model.action('destination: migrate-incoming', {
    sync: [parts.run.dst.on('RUN.prelaunch.inmigrate'), parts.becomes(HOST, 'setup')],
    events: [
      ...devices.map(({ name }): TraceEvent => ({ kind: 'device_open', host: HOST, device: name })),
      ...runEvents(HOST, 'prelaunch', 'inmigrate'),
      statusEvent(HOST, 'setup'),
    ],
    labels: ['user'],
  });
  model.action('destination: load_setup of all devices begins', {
    when: ge(parts.sent, MAIN.start),
    sync: [parts.becomes(HOST, 'active'), ...devices.map(({ vmm }) => vmm.on('LOAD.setup'))],
    events: [statusEvent(HOST, 'active'), { kind: 'destination_setup', host: HOST }],
    labels: ['progress'],
  });
}

function loadSetup(parts: Multifd, { name, device, vmm }: LoadedDevice): void {
  parts.model.action(`${name}: SET_STATE RESUMING`, {
    when: parts.loads(),
    sync: [granted(device, 'RUNNING', 'RESUMING'), vmm.on(callEvent('RESUMING', 'RUNNING'))],
    chart: { from: 'destination', to: name, text: 'SET_STATE RESUMING' },
    events: [
      ...setStateEvents(device, 'RUNNING', 'RESUMING', 'RUNNING'),
      ...(parts.is('thread-early') ? [threadStarts(name)] : []),
    ],
    labels: ['progress'],
  });
}

const threadStarts = (device: string): TraceEvent => ({ kind: 'load_thread_start', host: HOST, device });

function mainChannel(parts: Multifd): void {
  const { model, sent, handled, flush, devices } = parts;
  const due = (what: number): Expression => and(parts.loads(), eq(handled, what - 1), ge(sent, what));
  model.action('destination: START, all channels are at their SYNC', {
    when: and(
      due(MAIN.start),
      parts.allHeld(),
      parts.is('setup-not-awaited') ? 1 : not(or(...devices.map((each) => parts.beforeSetup(each)))),
    ),
    set: [handled.to(MAIN.start), ...parts.release()],
    labels: ['progress'],
  });
  model.action('destination: FLUSH, all channels are at their SYNC', {
    when: and(
      parts.loads(),
      eq(handled, MAIN.start),
      eq(flush, 1),
      parts.is('no-sync') ? 1 : parts.allHeld(),
    ),
    set: [flush.to(0), ...(parts.is('no-sync') ? [] : parts.release())],
    labels: ['progress'],
  });
  model.action('destination: SWITCHOVER_START, load threads begin', {
    when: and(due(MAIN.switchover), eq(flush, 0)),
    set: [handled.to(MAIN.switchover)],
    events: [
      { kind: 'switchover_start', host: HOST, sent: false },
      ...(parts.is('thread-early') ? [] : devices.map(({ name }) => threadStarts(name))),
    ],
    labels: ['progress'],
  });
  model.action('destination: END, all channels are at their SYNC', {
    when: and(due(MAIN.end), parts.is('no-last-sync') ? 1 : parts.allHeld()),
    set: [handled.to(MAIN.end), ...parts.release()],
    labels: ['progress'],
  });
}

function hold(parts: Multifd, channel: Channel): void {
  const { name, slot, held } = channel;
  parts.model.action(`destination: SYNC on ${name}`, {
    when: and(comes(parts, channel), eq(slot, parts.sync)),
    set: [slot.to(0), ...(parts.is('sync-ignored') ? [] : [held.to(1)])],
    chart: { from: name, to: 'destination', text: 'SYNC' },
    labels: ['progress'],
  });
  if (parts.is('sync-lost'))
    parts.model.action(`${name}: SYNC is lost`, {
      when: eq(slot, parts.sync),
      set: [slot.to(0)],
      labels: ['fault'],
    });
}

function takePage(parts: Multifd, page: RamPage, version: 0 | 1, channel: Channel): void {
  const { name, at, code } = page;
  const placed = version === 1 ? AT.second : either(ge(at, AT.second), AT.undone, AT.first);
  parts.model.action(`destination: ${name} in version ${version} comes on ${channel.name}`, {
    when: and(comes(parts, channel), eq(channel.slot, code + version)),
    set: [channel.slot.to(0), at.to(placed)],
    chart: { from: channel.name, to: 'destination', text: `${name}, version ${version}` },
    labels: ['progress'],
  });
}

function takePacket(parts: Multifd, device: LoadedDevice, packet: Packet, channel: Channel): void {
  const { index, state, code } = packet;
  parts.model.action(`${device.name}: packet ${index} comes on ${channel.name}`, {
    when: and(comes(parts, channel), eq(channel.slot, code)),
    set: [channel.slot.to(0), state.to(PACKET.queued)],
    chart: { from: channel.name, to: device.name, text: `packet ${index}` },
    events: [{ kind: 'load_buffer_queued', host: HOST, device: device.name, index }],
    labels: ['progress'],
  });
}

/** The load thread of a device is there. */
const threaded = (parts: Multifd): Expression =>
  and(parts.loads(), ge(parts.handled, parts.is('thread-early') ? MAIN.nothing : MAIN.switchover));

function load(parts: Multifd, { name, device }: LoadedDevice, packet: Packet): void {
  const { index, state, before } = packet;
  const on = { host: HOST, device: name };
  const due = before === null || parts.is('takes-what-is-there') ? 1 : ge(before.state, PACKET.written);
  const events: TraceEvent[] = [
    { kind: 'load_buffer_start', ...on, index },
    { kind: 'data_write', ...on, size: PACKET_BYTES, result: PACKET_BYTES },
    { kind: 'load_buffer_end', ...on, index },
  ];
  // Outside RESUMING the device refuses data; the one that does not wait for RESUMING does not look.
  const sync = parts.is('setup-not-awaited') ? [] : [device.chart.on('WRITE.ok')];
  parts.model.action(`${name}: packet ${index} is written`, {
    when: and(threaded(parts), eq(state, PACKET.queued), due),
    sync,
    set: [state.to(PACKET.written)],
    events,
    labels: ['progress'],
  });
  if (parts.is('written-twice'))
    parts.model.action(`${name}: packet ${index} is written once more`, {
      when: and(threaded(parts), eq(state, PACKET.written)),
      sync,
      set: [state.to(PACKET.twice)],
      events,
      labels: ['fault'],
    });
}

function loadConfig(parts: Multifd, loaded: LoadedDevice): void {
  const { name, vmm, packets } = loaded;
  const config = packets.at(-1)!;
  const on = { host: HOST, device: name };
  const early = parts.is('config-when-it-comes');
  const done: TraceEvent = { kind: 'load_buffers_done', ...on };
  parts.model.action(`${name}: all data is written, the config state is loaded`, {
    when: and(threaded(parts), eq(config.state, PACKET.queued), early ? 1 : dataWritten(loaded)),
    sync: [vmm.on('LOAD.config_start')],
    events: [...(early ? [] : [done]), { kind: 'load_config_start', ...on }],
    labels: ['progress'],
  });
  parts.model.action(`${name}: the config state is loaded, the load thread ends`, {
    when: parts.loads(),
    sync: [vmm.on('LOAD.config_end')],
    set: [config.state.to(PACKET.written)],
    events: [
      { kind: 'load_config_end', ...on },
      ...(early ? [done] : []),
      { kind: 'load_thread_end', ...on },
    ],
    labels: ['progress'],
  });
}

/** All is loaded and no channel is broken: the VM starts in two phases, and the migration completes. */
function start(parts: Multifd): void {
  const { model, devices, handled } = parts;
  const hasty = parts.is('runs-before-loaded');
  model.action('destination: the VM starts', {
    when: and(
      parts.loads(),
      eq(handled, MAIN.end),
      parts.is('closed-is-end') ? 1 : not(parts.someClosed()),
      hasty ? 1 : parts.allLoaded(),
    ),
    sync: [
      parts.run.dst.on('RUN.inmigrate.running'),
      ...(hasty ? [] : devices.map(({ vmm }) => vmm.on('VM.start'))),
    ],
    events: runEvents(HOST, 'inmigrate', 'running'),
    labels: ['progress'],
  });
  for (const { name, device } of devices) {
    const request = (
      from: MigState,
      to: MigState,
      when: Expression,
      kind: 'vmstate_prepare' | 'vmstate_change',
    ) =>
      model.action(`${name}: SET_STATE ${to}`, {
        when: and(parts.runs(HOST), when, device.in(from)),
        sync: [granted(device, from, to)],
        chart: { from: 'destination', to: name, text: `SET_STATE ${to}` },
        events: [
          ...setStateEvents(device, from, to, 'ERROR'),
          { kind, host: HOST, device: name, running: true, reason: 'running' },
        ],
        labels: ['progress'],
      });
    request('RESUMING', 'RUNNING_P2P', 1, 'vmstate_prepare');
    const prepared = not(or(...devices.map((each) => each.device.in('RESUMING'))));
    request('RUNNING_P2P', 'RUNNING', prepared, 'vmstate_change');
  }
  model.action('destination: completed, load_cleanup', {
    when: and(parts.runs(HOST), ...devices.map(({ device }) => device.in('RUNNING'))),
    sync: [parts.becomes(HOST, 'completed'), ...devices.map(({ vmm }) => vmm.on('LOAD.cleanup'))],
    chart: { from: 'destination', to: 'source', text: 'SHUT' },
    events: [
      statusEvent(HOST, 'completed'),
      { kind: 'destination_cleanup', host: HOST },
      ...devices.map(({ name }): TraceEvent => ({ kind: 'load_cleanup', host: HOST, device: name })),
    ],
    labels: ['progress'],
  });
  model.action('source: takes SHUT, completed', {
    when: and(parts.statusIs(HOST, 'completed'), ne(parts.sent, MAIN.nothing)),
    sync: [parts.becomes('src', 'completed'), parts.run.src.on('RUN.finish-migrate.postmigrate')],
    events: [statusEvent('src', 'completed'), ...runEvents('src', 'finish-migrate', 'postmigrate')],
    labels: ['progress'],
  });
}
