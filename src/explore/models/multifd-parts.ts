import { vmmDestination } from '../../machines/index.js';
import type { ComponentHandle, VariableHandle } from '../builder.js';
import { and, type Expression, eq, le, lt, not, or } from '../expression.js';
import type { Assignment, ModelEntry, ModelOptions } from '../model.js';
import { TwoHosts } from './two-hosts.js';
import { addDevice, capabilitiesOf, type DeviceHandle } from './vfio-parts.js';

/** The parts of the multifd model: machines, channels, pages and packets, and what is said of them. */

/** What of the main channel was sent and was handled; a FLUSH stands between START and SWITCHOVER_START. */
export const MAIN = { nothing: 0, start: 1, switchover: 2, end: 3 };
/** A packet of device state: not sent, in a channel, in the queue, written to the device, written once more. */
export const PACKET = { unsent: 0, sent: 1, queued: 2, written: 3, twice: 4 };
/** A page at the destination: in its first or its second version, or the first one over the second. */
export const AT = { absent: 0, first: 1, second: 2, undone: 3 };
/** Packets of a device: data, and the config state in the last one. */
const PACKETS = 3;
const CHANNELS = 3;

export interface Channel {
  readonly name: string;
  /** What it holds: 0, or the number of a page in a version, of a packet, of SYNC. */
  readonly slot: VariableHandle;
  readonly owed: VariableHandle;
  readonly held: VariableHandle;
  readonly closed: VariableHandle;
}

export interface RamPage {
  readonly name: string;
  readonly todo: VariableHandle;
  readonly logged: VariableHandle;
  readonly version: VariableHandle;
  readonly at: VariableHandle;
  /** Its number in a channel, in its first version; the second has the next. */
  readonly code: number;
}

export interface Packet {
  readonly index: number;
  readonly config: boolean;
  readonly state: VariableHandle;
  readonly code: number;
  /** The packet before it. */
  readonly before: Packet | null;
}

/** All data packets of a device are written. */
export const dataWritten = ({ packets }: LoadedDevice): Expression =>
  and(...packets.filter(({ config }) => !config).map(({ state }) => le(PACKET.written, state)));

export interface LoadedDevice {
  readonly name: string;
  readonly device: DeviceHandle;
  readonly vmm: ComponentHandle;
  readonly packets: readonly Packet[];
}

export class Multifd extends TwoHosts {
  readonly sent: VariableHandle;
  readonly handled: VariableHandle;
  readonly flush: VariableHandle;
  readonly faults: VariableHandle;
  readonly pages: readonly RamPage[];
  readonly devices: readonly LoadedDevice[];
  /** The number of SYNC in a channel. */
  readonly sync: number;
  readonly channels: readonly Channel[];

  constructor(entry: ModelEntry, options: ModelOptions) {
    super(entry, options);
    const { model } = this;
    const { devices, faults, pages } = options;
    const main = Object.keys(MAIN).join(', ');
    this.sent = model.variable('sent', `sent on the main channel: ${main}`, MAIN.end);
    this.handled = model.variable('handled', `handled of it: ${main}`, MAIN.end);
    this.flush = model.variable('flush', 'a FLUSH is in the main channel', 1);
    this.faults = model.variable('faults', 'channels that may break', faults, faults);
    this.pages = range(pages).map((index) => this.#page(index));
    this.devices = range(devices).map((index) => this.#device(index, 1 + 2 * pages + index * PACKETS));
    this.sync = 1 + 2 * pages + devices * PACKETS;
    this.channels = range(Math.min(CHANNELS, pages + 1)).map((index) => this.#channel(index));
  }

  #page(index: number): RamPage {
    const { model } = this;
    return {
      name: `page ${index}`,
      todo: model.variable(`todo ${index}`, 'it is to be sent in this round', 1, 1),
      logged: model.variable(`logged ${index}`, 'it was written since the last sync of the log', 1),
      version: model.variable(`version ${index}`, 'how often it was written', 1),
      at: model.variable(`at ${index}`, `at the destination: ${Object.keys(AT).join(', ')}`, AT.undone),
      code: 1 + 2 * index,
    };
  }

  #device(index: number, code: number): LoadedDevice {
    const { model, options } = this;
    const device = addDevice(model, index, 'dst', { caps: capabilitiesOf(options, index), alone: true });
    const packets: Packet[] = [];
    const words = Object.keys(PACKET).join(', ');
    for (const number of range(PACKETS))
      packets.push({
        index: number,
        config: number === PACKETS - 1,
        state: model.variable(`${device.device} ${number}`, `packet ${number}: ${words}`, PACKET.twice),
        code: code + number,
        before: packets[number - 1] ?? null,
      });
    const vmm = model.component(`VMM of ${device.device}`, vmmDestination());
    return { name: device.device, device, vmm, packets };
  }

  #channel(index: number): Channel {
    const { model } = this;
    return {
      name: `channel ${index}`,
      slot: model.variable(`slot ${index}`, 'what the channel holds', this.sync),
      owed: model.variable(`owed ${index}`, 'its next packet is a SYNC', 1),
      held: model.variable(`held ${index}`, 'the destination holds it at a SYNC', 1),
      closed: model.variable(`closed ${index}`, 'it is broken', 1),
    };
  }

  /** The destination loads. */
  loads(): Expression {
    return this.statusIs('dst', 'active');
  }

  allOwed(value: 0 | 1): Expression {
    return and(...this.channels.map(({ owed }) => eq(owed, value)));
  }

  /** Each channel is to carry a SYNC next. */
  owe(): Assignment[] {
    return this.channels.map(({ owed, closed }) => owed.to(eq(closed, 0)));
  }

  /** Each channel is at its SYNC. */
  allHeld(): Expression {
    if (this.is('sync-ignored')) return 1;
    const ended = this.is('closed-is-end');
    return and(
      ...this.channels.map(({ held, closed }) => or(eq(held, 1), ...(ended ? [eq(closed, 1)] : []))),
    );
  }

  release(): Assignment[] {
    return this.channels.map(({ held }) => held.to(0));
  }

  someClosed(): Expression {
    return or(...this.channels.map(({ closed }) => eq(closed, 1)));
  }

  allTodo(value: 0 | 1): Expression {
    return and(...this.pages.map(({ todo }) => eq(todo, value)));
  }

  /** Some packet, of data or of the config state, of some device. */
  somePacket(make: (packet: Packet, device: LoadedDevice) => Expression): Expression {
    return or(...this.devices.flatMap((device) => device.packets.map((packet) => make(packet, device))));
  }

  /** The load_setup of the device has not ended. */
  beforeSetup({ vmm }: LoadedDevice): Expression {
    return and(this.statusIs('dst', 'setup', 'active'), vmm.in('vmm-destination', 'idle', 'setup'));
  }

  /** All device state is loaded. */
  allLoaded(): Expression {
    return not(this.somePacket(({ state }) => lt(state, PACKET.written)));
  }
}

export const range = (length: number): number[] => Array.from({ length }, (_, index) => index);
