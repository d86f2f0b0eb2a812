import {
  CAPABILITY_SETS,
  type CapabilitySet,
  capabilitiesOfFlags,
  machineNamed,
} from '../../../src/machines/index.js';
import {
  type Configuration,
  chartStep,
  initialConfiguration,
  type Machine,
} from '../../../src/machines/xstate.js';
import type { EventOf, TraceEvent } from '../../../src/trace/event.js';
import { MIG_STATES } from '../../../src/uapi/vfio.js';

/**
 * A second opinion on traces: the charts, stepped by XState itself, with sets of configurations kept as
 * plain text. It shares the charts with the validator and nothing else: no tables, no monitors, no
 * projection. Slow on purpose, but for a memory of the steps that XState was already asked for.
 */

/** Chart events that one trace event may have been: any of these words, each a sequence. */
type Words = readonly (readonly string[])[];

const machines = new Map<string, Machine>();
const steps = new Map<string, Configuration | null>();
const reachable = new Map<string, Configuration[]>();

const chartKey = (name: string, caps: CapabilitySet): string => `${name}/${caps.p2p}/${caps.preCopy}`;

function machineOf(name: string, caps: CapabilitySet): Machine {
  const key = chartKey(name, caps);
  if (!machines.has(key)) machines.set(key, machineNamed(name)!.make(caps));
  return machines.get(key)!;
}

function xstateStep(
  name: string,
  caps: CapabilitySet,
  from: Configuration,
  event: string,
): Configuration | null {
  const key = `${chartKey(name, caps)}|${from}|${event}`;
  if (!steps.has(key)) steps.set(key, chartStep(machineOf(name, caps), from, event));
  return steps.get(key)!;
}

/** Every configuration that XState reaches from the initial one. */
function configurations(name: string, caps: CapabilitySet): Configuration[] {
  const key = chartKey(name, caps);
  const known = reachable.get(key);
  if (known) return known;
  const machine = machineOf(name, caps);
  const events = (machine.root as { events: string[] }).events;
  const all = [...new Set([...events, ...forbidden(machine)])];
  const found: Configuration[] = [initialConfiguration(machine)];
  for (const at of found)
    for (const event of all) {
      const next = xstateStep(name, caps, at, event);
      if (next && !found.some((each) => String(each) === String(next))) found.push(next);
    }
  reachable.set(key, found);
  return found;
}

/** Events that only loop: XState's own list leaves them out. */
function forbidden(machine: Machine): string[] {
  type Node = { states: Record<string, Node>; transitions: Map<string, unknown> };
  const walk = (node: Node): string[] => [
    ...node.transitions.keys(),
    ...Object.values(node.states).flatMap(walk),
  ];
  return walk(machine.root as unknown as Node);
}

interface Possible {
  caps: CapabilitySet;
  at: Configuration;
}

/** One followed instance: what is still possible. */
class Instance {
  possible: Possible[];

  constructor(
    readonly name: string,
    sets: readonly CapabilitySet[],
    start: 'initial' | 'any',
  ) {
    this.possible = sets.flatMap((caps) =>
      (start === 'initial' ? [initialConfiguration(machineOf(name, caps))] : configurations(name, caps)).map(
        (at) => ({ caps, at }),
      ),
    );
  }

  /** Whether some word can have happened; if so, what is possible becomes what the words lead to. */
  take(words: Words, maybe = false): boolean {
    const after = new Map<string, Possible>();
    for (const { caps, at } of this.possible)
      for (const word of words) {
        let to: Configuration | null = at;
        for (const event of word) to = to && xstateStep(this.name, caps, to, event);
        if (to) after.set(`${chartKey('', caps)}|${to}`, { caps, at: to });
      }
    if (after.size === 0) return false;
    const capsLeft = new Set([...after.values()].map(({ caps }) => caps));
    const before = maybe ? this.possible.filter(({ caps }) => capsLeft.has(caps)) : [];
    this.possible = [...before, ...after.values()];
    return true;
  }

  know(caps: CapabilitySet): void {
    const names = new Set(this.possible.map(({ at }) => String(at)));
    const all = configurations(this.name, caps);
    const kept = all.filter((at) => names.has(String(at)));
    this.possible = (kept.length > 0 ? kept : all).map((at) => ({ caps, at }));
  }
}

interface Device {
  /** Place of the last event about it: after that it may be unplugged, and owes nothing. */
  last: number;
  opened: boolean;
  caps: readonly CapabilitySet[];
  request: EventOf<'set_state'> | null;
  instances: Map<string, Instance>;
}

interface Host {
  devices: Map<string, Device>;
  instances: Map<string, Instance>;
  running: boolean | undefined;
}

/** Index of the first event that the machines do not allow, or -1. */
export function firstRefused(events: readonly TraceEvent[]): number {
  const hosts = new Map<string, Host>();
  for (const [index, event] of events.entries()) {
    const host: Host = hosts.get(event.host) ?? {
      devices: new Map(),
      instances: new Map(),
      running: undefined,
    };
    hosts.set(event.host, host);
    if ('device' in event && !host.devices.has(event.device)) {
      const last = events.findLastIndex(
        (each) => 'device' in each && each.device === event.device && each.host === event.host,
      );
      host.devices.set(event.device, {
        last,
        opened: false,
        caps: CAPABILITY_SETS,
        request: null,
        instances: new Map(),
      });
    }
    if (!allowed(host, event, index)) return index;
  }
  return -1;
}

const FULL = [CAPABILITY_SETS[3]!];

function ofHost(host: Host, name: string, ...words: string[][]): boolean {
  if (!host.instances.has(name)) host.instances.set(name, new Instance(name, FULL, 'any'));
  return host.instances.get(name)!.take(words);
}

function ofDevice(device: Device, name: string, words: Words, maybe = false): boolean {
  let instance = device.instances.get(name);
  if (!instance) {
    const byCaps = name === 'vfio-device' || name === 'vfio-driver';
    const known = device.instances.get('vfio-device')?.possible.map(({ caps }) => caps) ?? device.caps;
    const sets = byCaps
      ? CAPABILITY_SETS.filter((caps) => known.includes(caps))
      : name === 'vmm-source'
        ? CAPABILITY_SETS.slice(2).filter((caps) => known.some(({ p2p }) => p2p === caps.p2p))
        : FULL;
    instance = new Instance(name, sets, device.opened ? 'initial' : 'any');
    device.instances.set(name, instance);
  }
  return instance.take(words, maybe);
}

function everyDevice(host: Host, name: string, event: string, index: number): boolean {
  return [...host.devices.values()]
    .filter(({ last }) => last > index)
    .map((device) => ofDevice(device, name, [[event]]))
    .every(Boolean);
}

/** One trace event against all machines it concerns. Run states and continuity of lines are remarks only. */
function allowed(host: Host, event: TraceEvent, index: number): boolean {
  if ('device' in event) return deviceEvent(host, host.devices.get(event.device)!, event);
  switch (event.kind) {
    case 'vm_state': {
      const what = event.running ? 'VM.start' : 'VM.stop';
      const switching = !event.running && event.reason === 'finish-migrate' && host.running !== false;
      host.running = event.running;
      return [
        !switching || ofHost(host, 'switchover-ack', ['SWITCHOVER']),
        ofHost(host, 'vm-phases', [what]),
        everyDevice(host, 'vmm-source', what, index),
        !event.running || everyDevice(host, 'vmm-destination', what, index),
      ].every(Boolean);
    }
    case 'migration_status': {
      const taken = ofHost(host, 'migration-status', [`STATUS.${event.status}`]);
      if (event.status === 'setup') {
        ofHost(host, 'switchover-ack', ['SETUP']);
        ofHost(host, 'switchover-ack-legacy', ['SETUP']);
      }
      return taken;
    }
    case 'source_cleanup':
      return everyDevice(host, 'vmm-source', 'CLEANUP', index);
    case 'destination_setup':
      return everyDevice(host, 'vmm-destination', 'LOAD.setup', index);
    case 'destination_load_end':
      return event.errno === 0 || everyDevice(host, 'vmm-destination', 'LOAD.failed', index);
    case 'query_pending':
      if (event.ackTotal === undefined) return true;
      return ofHost(host, 'switchover-ack', [event.ackTotal > 0 ? 'ACK.needed' : 'ACK.none']);
    case 'switchover_ack':
      return ofHost(host, 'switchover-ack', [event.pending ? 'ACK.some' : 'ACK.all']);
    case 'switchover_ack_needed':
      return ofHost(host, 'switchover-ack-legacy', [event.pending > 0 ? 'NEED.some' : 'NEED.none']);
    case 'switchover_approved':
      if (event.pending === undefined) return true;
      return ofHost(host, 'switchover-ack-legacy', [event.pending > 0 ? 'APPROVED.more' : 'APPROVED.last']);
    default:
      return true;
  }
}

const SAVE: Partial<Record<TraceEvent['kind'], string>> = {
  save_setup: 'SAVE.setup',
  save_iterate: 'SAVE.iterate',
  save_complete_start: 'SAVE.drain',
  save_config: 'SAVE.config',
  save_cleanup: 'SAVE.cleanup',
};
const LOAD: Partial<Record<TraceEvent['kind'], string>> = {
  load_record: 'LOAD.record',
  load_config_start: 'LOAD.config_start',
  load_config_end: 'LOAD.config_end',
  load_cleanup: 'LOAD.cleanup',
};
/** The SET_STATE calls of QEMU, told anew: requested state and recover state. */
const CALLS = new Set([
  'PRE_COPY RUNNING',
  'PRE_COPY_P2P ERROR',
  'RUNNING_P2P ERROR',
  'STOP_COPY ERROR',
  'STOP ERROR',
  'RUNNING ERROR',
  'STOP_COPY STOP',
  'RESUMING RUNNING',
]);

function okOrError(name: string, errno: number | undefined): Words {
  return errno === undefined
    ? [[`${name}.ok`], [`${name}.error`]]
    : [[errno ? `${name}.error` : `${name}.ok`]];
}

function deviceEvent(host: Host, device: Device, event: TraceEvent & { device: string }): boolean {
  const save = SAVE[event.kind];
  if (save) return ofDevice(device, 'vmm-source', [[save]]);
  const load = LOAD[event.kind];
  if (load) return ofDevice(device, 'vmm-destination', [[load]]);
  switch (event.kind) {
    case 'device_open':
      device.instances.clear();
      device.opened = true;
      device.request = null;
      return true;
    case 'capabilities':
      if (event.flags !== undefined) {
        const caps = capabilitiesOfFlags(event.flags);
        device.caps = [caps];
        device.instances.get('vfio-device')?.know(caps);
        device.instances.get('vfio-driver')?.know(caps);
        device.instances.get('vmm-source')?.know(CAPABILITY_SETS[caps.p2p ? 3 : 2]!);
      }
      return true;
    case 'set_state': {
      device.request = event;
      if (event.recover === undefined || !CALLS.has(`${event.state} ${event.recover}`)) return true;
      const call = [`CALL.${event.state}.${event.recover}`];
      const setter = ofDevice(device, 'vmm-set-state', [call]);
      return (
        ofDevice(device, event.state === 'RESUMING' ? 'vmm-destination' : 'vmm-source', [call]) && setter
      );
    }
    case 'set_state_result':
      return result(device, event);
    case 'get_state':
      return event.errno || !event.state ? true : ofDevice(device, 'vfio-device', [[`GET.${event.state}`]]);
    case 'reset': {
      if (event.offered === false) return true;
      const taken = ofDevice(device, 'vfio-device', okOrError('RESET', event.errno));
      device.instances.get('dma-logging')?.take([['RESET.ok']]);
      return taken;
    }
    case 'data_read': {
      if (event.size === 0) return true;
      const how =
        event.result > 0 ? 'data' : event.result === 0 ? 'end' : event.result === -42 ? 'ENOMSG' : 'error';
      return ofDevice(device, 'vfio-device', [[`READ.${how}`]]);
    }
    case 'data_write':
      return ofDevice(device, 'vfio-device', [[event.result < 0 ? 'WRITE.error' : 'WRITE.ok']]);
    case 'precopy_info': {
      if (event.errno === undefined) return true;
      const how = event.errno === 0 ? 'ok' : event.errno === 22 || event.errno === 25 ? 'refused' : 'error';
      return ofDevice(device, 'vfio-device', [[`PRECOPY_INFO.${how}`]]);
    }
    case 'data_size':
      return (
        event.errno === undefined || ofDevice(device, 'vfio-device', okOrError('DATA_SIZE', event.errno))
      );
    case 'dma_logging_start':
      return ofDevice(device, 'dma-logging', okOrError('START', event.errno));
    case 'dma_logging_stop':
      // A STOP without START is a remark only.
      ofDevice(device, 'dma-logging', okOrError('STOP', event.errno));
      return true;
    case 'dma_logging_report':
      return ofDevice(device, 'dma-logging', okOrError('REPORT', event.errno));
    case 'driver_arc':
      if (event.errno) return true;
      return ofDevice(device, 'vfio-driver', [[`ARC.${event.from}.${event.to}`]], event.errno === undefined);
    case 'vmstate_prepare':
      return [ofDevice(device, 'vmm-source', [['PREPARE']]), ofHost(host, 'vm-phases', ['PREPARE'])].every(
        Boolean,
      );
    case 'vmstate_change':
      return [ofDevice(device, 'vmm-source', [['CHANGE']]), ofHost(host, 'vm-phases', ['CHANGE'])].every(
        Boolean,
      );
    case 'notifier': {
      const which = event.event ? [event.event] : ['setup', 'switchover', 'done', 'failed'];
      return ofDevice(
        device,
        'vmm-source',
        which.map((each) => [`NOTIFIER.${each}`]),
      );
    }
    case 'save_complete': {
      const order = ofDevice(device, 'vmm-source', [['SAVE.drained']]);
      return (event.errno !== 0 || ofDevice(device, 'vfio-device', [['READ.end']])) && order;
    }
    default:
      return true;
  }
}

function result(device: Device, event: EventOf<'set_state_result'>): boolean {
  const { request } = device;
  device.request = null;
  const believed =
    event.state === undefined ||
    event.errno !== undefined ||
    ofDevice(device, 'vmm-set-state', [[`NOW.${event.state}`]]);
  return ofDevice(device, 'vfio-device', wordsOfResult(request, event)) && believed;
}

function wordsOfResult(request: EventOf<'set_state'> | null, event: EventOf<'set_state_result'>): Words {
  const asked = request?.state;
  if (event.errno) {
    if (typeof asked !== 'string') return event.state ? [[`GET.${event.state}`]] : [[]];
    return (event.state ? [event.state] : MIG_STATES).map((at) => [`FAIL.${asked}.${at}`]);
  }
  const state = event.state ?? (typeof asked === 'string' ? asked : undefined);
  if (state === undefined) return [[]];
  const reach = [[`SET.${state}`], [`SET.${state}.data_fd`]];
  if (event.errno === 0 || asked === state)
    return event.dataFd === undefined ? reach : [reach[event.dataFd ? 1 : 0]!];
  if (asked === undefined) return state === 'RUNNING' ? [...reach, ['RESET.ok']] : reach;
  const ends = state === request?.recover ? reach : [...reach, ['RESET.ok']];
  return MIG_STATES.flatMap((at) => ends.map((end) => [`FAIL.${asked}.${at}`, ...end]));
}
