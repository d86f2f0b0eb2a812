import { and, type Expression, eq, ge, or, plus } from '../expression.js';
import {
  type Channel,
  type LoadedDevice,
  MAIN,
  type Multifd,
  PACKET,
  type Packet,
  type RamPage,
} from './multifd-parts.js';
import { runEvents, statusEvent } from './vmm-events.js';

/** What the source does: rounds of RAM, the switchover, device state. */
export function addSource(parts: Multifd): void {
  begin(parts);
  rounds(parts);
  switchOver(parts);
  for (const page of parts.pages) write(parts, page);
  for (const channel of parts.channels) {
    sync(parts, channel);
    for (const page of parts.pages) sendPage(parts, page, channel);
    for (const device of parts.devices)
      for (const packet of device.packets) sendPacket(parts, device, packet, channel);
  }
}

/** It sends: the migration is under way, and it has not seen a failure. */
const sends = (parts: Multifd): Expression => parts.statusIs('src', 'active', 'device');

/** A packet can be put into the channel. */
const free = ({ slot, owed, closed }: Channel): Expression => and(eq(slot, 0), eq(owed, 0), eq(closed, 0));

function begin(parts: Multifd): void {
  const { model } = parts;
  model.action('source: the VM runs', {
    sync: [parts.run.src.on('RUN.prelaunch.running')],
    events: runEvents('src', 'prelaunch', 'running'),
    labels: ['user'],
  });
  model.action('source: migrate', {
    when: and(parts.runs('src'), parts.statusIs('src', 'none'), parts.statusIs('dst', 'setup')),
    sync: [parts.becomes('src', 'setup')],
    events: [statusEvent('src', 'setup'), { kind: 'source_setup', host: 'src' }],
    labels: ['user'],
  });
  model.action('source: save_setup, START of RAM with a SYNC', {
    when: parts.statusIs('src', 'setup'),
    sync: [parts.becomes('src', 'active')],
    set: [parts.sent.to(MAIN.start), ...parts.owe()],
    chart: { from: 'source', to: 'destination', text: 'START, FLUSH' },
    events: [statusEvent('src', 'active')],
    labels: ['progress'],
  });
}

function write(parts: Multifd, { name, logged, version }: RamPage): void {
  parts.model.action(`guest: writes ${name}`, {
    when: and(
      parts.runs('src'),
      parts.statusIs('src', 'setup', 'active'),
      eq(version, 0),
      parts.is('one-round') ? 0 : 1,
    ),
    set: [version.to(1), logged.to(1)],
    labels: ['guest'],
  });
}

/** The log is read, what it has is the next round, and a SYNC stands before it. */
function rounds(parts: Multifd): void {
  const { model, pages, flush } = parts;
  const ended = and(parts.allTodo(0), parts.allOwed(0), eq(flush, 0), eq(parts.sent, MAIN.start));
  const next = [
    flush.to(1),
    ...(parts.is('no-sync') ? [] : parts.owe()),
    ...pages.flatMap(({ todo, logged }) => [todo.to(logged), logged.to(0)]),
  ];
  const chart = { from: 'source', to: 'destination', text: 'FLUSH' };
  model.action('source: the next round of RAM', {
    when: and(parts.statusIs('src', 'active'), ended, or(...pages.map(({ logged }) => eq(logged, 1)))),
    set: next,
    chart,
    labels: ['progress'],
  });
  model.action('source: the VM stops, the last round of RAM', {
    when: and(parts.statusIs('src', 'active'), ended),
    sync: [parts.becomes('src', 'device'), parts.run.src.on('RUN.running.finish-migrate')],
    set: next,
    chart,
    events: [...runEvents('src', 'running', 'finish-migrate'), statusEvent('src', 'device')],
    labels: ['decision'],
  });
}

function switchOver(parts: Multifd): void {
  const { model, sent } = parts;
  model.action('source: SWITCHOVER_START', {
    when: and(parts.statusIs('src', 'device'), eq(sent, MAIN.start)),
    set: [sent.to(MAIN.switchover)],
    chart: { from: 'source', to: 'destination', text: 'SWITCHOVER_START' },
    events: [{ kind: 'switchover_start', host: 'src', sent: true }],
    labels: ['progress'],
  });
  model.action('source: END of RAM with a SYNC, and all else', {
    when: and(
      parts.statusIs('src', 'device'),
      eq(sent, MAIN.switchover),
      parts.allTodo(0),
      parts.allOwed(0),
      parts.is('never-ends') ? 0 : 1,
    ),
    set: [sent.to(MAIN.end), ...(parts.is('no-last-sync') ? [] : parts.owe())],
    chart: { from: 'source', to: 'destination', text: 'FLUSH, END' },
    labels: ['progress'],
  });
}

function sync(parts: Multifd, { name, slot, owed }: Channel): void {
  parts.model.action(`source: SYNC on ${name}`, {
    when: and(sends(parts), eq(owed, 1), eq(slot, 0)),
    set: [owed.to(0), slot.to(parts.sync)],
    chart: { from: 'source', to: name, text: 'SYNC' },
    labels: ['progress'],
  });
}

function sendPage(parts: Multifd, page: RamPage, channel: Channel): void {
  const { name, todo, version, code } = page;
  parts.model.action(`source: sends ${name} on ${channel.name}`, {
    when: and(sends(parts), ge(parts.sent, MAIN.start), eq(todo, 1), free(channel)),
    set: [todo.to(0), channel.slot.to(plus(code, version))],
    chart: { from: 'source', to: channel.name, text: name },
    labels: ['progress'],
  });
}

function sendPacket(parts: Multifd, device: LoadedDevice, packet: Packet, channel: Channel): void {
  const { index, config, state, code, before } = packet;
  const text = `packet ${index}${config ? ', config state' : ''}`;
  const least = parts.is('one-lane') ? PACKET.queued : PACKET.sent;
  parts.model.action(`${device.name}: ${text}, is sent on ${channel.name}`, {
    when: and(
      parts.statusIs('src', 'device'),
      ge(parts.sent, MAIN.switchover),
      eq(state, PACKET.unsent),
      before === null ? 1 : ge(before.state, least),
      free(channel),
    ),
    set: [state.to(PACKET.sent), channel.slot.to(code)],
    chart: { from: 'source', to: channel.name, text: `${device.name} ${text}` },
    labels: ['progress'],
  });
}
