import { CAPABILITY_SETS, type CapabilitySet, capabilitiesOfFlags } from '../machines/index.js';
import type { DeviceView, Rule } from '../rules/rule.js';
import type { EventKind, EventOf, TraceEvent } from '../trace/event.js';
import type { MigState } from '../uapi/vfio.js';
import type { VhostInterface } from '../uapi/vhost-backend.js';
import { Alternatives, type Observation } from './alternatives.js';
import { getOrAdd } from './get-or-add.js';
import type { Handlers, HostTracker, Listener, Steps } from './host-tracker.js';
import type { OtherDevice } from './report.js';

/** Kinds of event that move a device's protocol: one of them is enough for a verdict on the device. */
export const RELEVANT: ReadonlySet<EventKind> = new Set<EventKind>([
  'set_state_result',
  'get_state',
  'data_read',
  'data_write',
  'precopy_info',
  'data_size',
  'dma_logging_start',
  'dma_logging_report',
  'driver_arc',
  'next_hop',
  'vhost_message',
  'vhost_set_owner',
  'vhost_set_features',
  'vhost_mem_table',
  'vhost_log_base',
  'vring_num',
  'vring_addr',
  'vring_backend',
  'vring_enable',
  'vhost_write',
  'vhost_log_read',
  'vhost_page_change',
  'vhost_state_fd',
  'vdpa_status',
  'kvm_dirty_log_get',
  'kvm_dirty_log_clear',
  'kvm_reset_dirty_rings',
  'iommufd_set_dirty',
  'iommufd_dirty_bitmap',
  'type1_dirty',
  'type1_dirty_bitmap',
]);

const OPENED: readonly string[] = ['RUNNING'];
const NO_STATES: readonly string[] = [];

/** The machines that follow one device, made when they are first needed. */
export type DeviceMachine =
  | 'vfio-device'
  | 'vfio-driver'
  | 'dma-logging'
  | 'vmm-set-state'
  | 'vmm-source'
  | 'vmm-destination'
  | 'vhost-device'
  | 'vhost-vmm'
  | 'vhost-user'
  | 'vhost-user-transfer'
  | 'vhost-user-postcopy'
  | 'vdpa-device'
  | 'vdpa-shadow'
  | 'type1-dirty'
  | 'kvm-vm'
  | 'kvm-dirty-ring';

/** Machines of which a device has one for each virtqueue, memory slot or page table. */
export type PartMachine = 'vhost-vring' | 'vhost-user-vring' | 'vdpa-vring' | 'iommufd-dirty' | 'kvm-memslot';

const KIND_OF: Readonly<Record<VhostInterface, OtherDevice>> = {
  kernel: 'vhost',
  user: 'vhost-user',
  vdpa: 'vdpa',
};
/** Machine and region that say how far a back end is. */
const STATE_OF: Readonly<Record<VhostInterface, readonly [DeviceMachine, string]>> = {
  kernel: ['vhost-device', 'rings'],
  user: ['vhost-user', 'rings'],
  vdpa: ['vdpa-device', 'status'],
};
/** What QEMU's log tells of a back end without its interface. */
const BACK_END_KINDS: readonly EventKind[] = [
  'vhost_dev_start',
  'vhost_dev_stop',
  'vring_start',
  'vring_stop',
];
const VFIO_KINDS: readonly EventKind[] = [
  'device_open',
  'capabilities',
  'set_state',
  'set_state_result',
  'get_state',
  'data_read',
  'data_write',
];
/** Machines of devices that are nothing but a dirty log. */
const DIRTY_LOGS: readonly DeviceMachine[] = ['kvm-vm', 'kvm-dirty-ring', 'type1-dirty'];

/** Most parts of a device that are followed by a machine of their own. */
const MAX_PARTS = 1024;

/** Follows one device of one host through a trace. */
export class DeviceTracker implements DeviceView {
  readonly #machines = new Map<DeviceMachine, Alternatives>();
  readonly #parts = new Map<string, Alternatives>();
  /** The machine that is asked for most. */
  #device: Alternatives | undefined;
  readonly seen = new Set<EventKind>();
  readonly watchers: Handlers;
  /** Rules whose watch over this device has begun. */
  readonly watched = new Set<Rule>();
  /** The trace shows the device being opened, so machines start in their initial state. */
  opened = false;
  /** Over which interface of vhost it was spoken to. */
  via: VhostInterface | undefined;
  request: EventOf<'set_state'> | null = null;
  /** A call of the VMM, with its recover state, waits for the state that the VMM believes in after it. */
  called = false;
  lastMove: DeviceView['lastMove'] = null;
  leftIn: MigState | null = null;
  saved = false;
  dmaLogging: boolean | undefined;
  precopyInfoV2: boolean | undefined;
  resetOffered: boolean | undefined;
  flags: number | undefined;
  /** Events about this device so far. */
  taken = 0;
  transitions = 0;
  bytesRead = 0;
  bytesWritten = 0;
  /** An event of the device's protocol was seen: enough for a verdict. */
  relevant = false;
  #before: readonly string[] = NO_STATES;
  readonly #steps = new Map<EventKind, Steps>();

  constructor(
    readonly id: string,
    readonly host: HostTracker,
    readonly listener: Listener,
  ) {
    this.watchers = listener.watchDevice(this);
  }

  /** Takes an event about this device. */
  take(event: TraceEvent): void {
    this.taken++;
    this.#before = this.#device?.states() ?? (this.opened && this.via === undefined ? OPENED : NO_STATES);
    const steps = this.#steps.get(event.kind) ?? this.#meet(event.kind);
    for (let n = 0; n < steps.length; n++) steps[n]!(event);
  }

  /** An event of this kind has come for the first time. */
  #meet(kind: EventKind): Steps {
    this.seen.add(kind);
    this.relevant ||= RELEVANT.has(kind);
    return getOrAdd(this.#steps, kind, () => this.listener.deviceSteps(this, kind));
  }

  /** The followers of a machine for this device. */
  machine(name: DeviceMachine): Alternatives {
    const known = this.#machines.get(name);
    if (known) return known;
    const made = new Alternatives(name, this.#capabilitiesFor(name), this.opened ? 'initial' : 'any');
    this.#machines.set(name, made);
    if (name === 'vfio-device') this.#device = made;
    return made;
  }

  /** The followers of a machine of one part of the device: the virtqueue, slot or page table with this number. */
  part(name: PartMachine, index: number): Alternatives {
    return getOrAdd(this.#parts, `${name} ${index}`, () =>
      Alternatives.single(name, this.opened ? 'initial' : 'any'),
    );
  }

  /** As `observe`, for one part of the device. What is beyond the parts that are followed is taken as it is. */
  observePart(name: PartMachine, index: number, what: Observation, event: TraceEvent): boolean {
    if (this.#parts.size >= MAX_PARTS && !this.#parts.has(`${name} ${index}`)) return true;
    const machine = this.part(name, index);
    this.listener.exercise(machine, what);
    const taken = machine.observe(what);
    if (!taken) this.listener.refuse(machine, what, event, this.host, this);
    return taken;
  }

  /** As `observePart`, for each part that is followed. */
  observeParts(name: PartMachine, what: Observation, event: TraceEvent): void {
    for (const [key, { machine }] of this.#parts)
      if (machine === name) this.observePart(name, Number(key.slice(name.length + 1)), what, event);
  }

  /** The followers of a machine, when the device has them. */
  followed(name: DeviceMachine): Alternatives | undefined {
    return this.#machines.get(name);
  }

  #capabilitiesFor(name: DeviceMachine): readonly CapabilitySet[] {
    const possible = this.capabilities();
    if (name === 'vfio-device' || name === 'vfio-driver') return possible;
    if (name !== 'vmm-source') return CAPABILITY_SETS.slice(-1);
    return CAPABILITY_SETS.slice(2).filter((caps) => possible.some((each) => each.p2p === caps.p2p));
  }

  /** Lets a machine take an observation, which may have come to nothing with `maybe`; reports a refusal. */
  observe(name: DeviceMachine, what: Observation, event: TraceEvent, maybe = false): boolean {
    const machine = this.machine(name);
    this.listener.exercise(machine, what);
    const taken = maybe ? machine.observeMaybe(what) : machine.observe(what);
    if (!taken) this.listener.refuse(machine, what, event, this.host, this);
    return taken;
  }

  /** The device was opened or realized: all machines begin anew. */
  open(): void {
    const left = this.#device?.states() ?? NO_STATES;
    this.leftIn = left.length === 1 ? (left[0] as MigState) : null;
    this.#machines.clear();
    this.#parts.clear();
    this.#device = undefined;
    this.opened = true;
    this.lastMove = 'open';
    this.request = null;
  }

  /** The migration flags have become known. */
  setFlags(flags: number): void {
    this.flags = flags;
    const caps = capabilitiesOfFlags(flags);
    for (const name of ['vfio-device', 'vfio-driver'] as const) this.#machines.get(name)?.become(caps);
    this.#machines.get('vmm-source')?.become(CAPABILITY_SETS[caps.p2p ? 3 : 2]!);
  }

  capabilities(): readonly CapabilitySet[] {
    if (this.flags !== undefined) return [capabilitiesOfFlags(this.flags)];
    return this.#device?.capabilities ?? CAPABILITY_SETS;
  }

  states(): readonly MigState[] {
    // A back end of vhost is in none.
    if (this.#device === undefined && this.otherKind !== undefined) return NO_STATES as readonly MigState[];
    return (this.#device ?? this.machine('vfio-device')).states() as readonly MigState[];
  }

  /** What the device is, when it was never seen as one of VFIO. */
  get otherKind(): OtherDevice | undefined {
    if (this.via !== undefined) return KIND_OF[this.via];
    if (BACK_END_KINDS.some((kind) => this.seen.has(kind))) return 'vhost';
    const isLog =
      DIRTY_LOGS.some((name) => this.#machines.has(name)) ||
      [...this.#parts.values()].some(
        ({ machine }) => machine === 'iommufd-dirty' || machine === 'kvm-memslot',
      );
    return isLog && !VFIO_KINDS.some((kind) => this.seen.has(kind)) ? 'dirty-log' : undefined;
  }

  /** How far a back end is at the end of the trace: a state of its machine, or null when several are possible. */
  get backEndState(): string | null {
    if (this.via === undefined) return null;
    const [machine, region] = STATE_OF[this.via];
    const states = this.#machines.get(machine)?.statesOf(region) ?? [];
    return states.length === 1 ? states[0]! : null;
  }

  /** The state at the end of the trace, from whichever view of the device the trace shows. */
  finalState(): MigState | null {
    const driver = this.#machines.get('vfio-driver');
    if (!driver || this.seen.has('set_state_result') || this.seen.has('get_state')) return this.state();
    const states = driver.states();
    return states.length === 1 ? (states[0] as MigState) : null;
  }

  state(): MigState | null {
    const states = this.states();
    return states.length === 1 ? states[0]! : null;
  }

  before(): MigState | null {
    return this.#before.length === 1 ? (this.#before[0] as MigState) : null;
  }
}
