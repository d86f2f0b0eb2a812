import type { TraceEvent } from '../trace/event.js';
import { errnoName } from '../uapi/errno.js';

/** A vertical line of a sequence chart: a VMM, or a device of its host. */
export interface Lane {
  readonly id: string;
  readonly title: string;
  readonly host: string;
  readonly kind: 'vmm' | 'device';
}

/** A row of a sequence chart. */
export interface Step {
  /** The lane's number. */
  readonly from: number;
  /** The lane that a message goes to; null: a note at `from`. */
  readonly to: number | null;
  readonly text: string;
  /** `state`: a device has reached one; `fails`: an error came; `status`: of the VMM or its VM. */
  readonly kind: 'call' | 'data' | 'state' | 'status' | 'fails';
  /** How many of its kind it stands for. */
  times: number;
  /** Bytes that all of them moved, for data. */
  bytes: number;
}

export interface Sequence {
  readonly lanes: readonly Lane[];
  readonly steps: readonly Step[];
  /** Steps that were left out behind the last one. */
  readonly left: number;
}

/** Longest chart that is read to its end. */
const MOST_STEPS = 120;
const MOST_DEVICES = 3;

/**
 * A recorded run as a sequence chart: calls, data and states in the order in which they came. Runs of the same
 * step are one.
 * @param events in the order of their times
 * @param names of hosts in the order of their lanes; others come behind
 */
export function sequenceOf(events: readonly TraceEvent[], names: readonly string[]): Sequence {
  const lanes = lanesOf(events, names);
  const at = new Map(lanes.map(({ id }, index) => [id, index]));
  const steps: Step[] = [];
  let left = 0;
  for (const event of events)
    for (const step of stepsOf(event, at)) {
      const last = steps.at(-1);
      if (left === 0 && last !== undefined && sameStep(last, step)) {
        last.times++;
        last.bytes += step.bytes;
      } else if (steps.length < MOST_STEPS) steps.push(step);
      else left++;
    }
  return {
    lanes: lanes.filter((_, lane) => steps.some((step) => step.from === lane || step.to === lane)),
    steps: renumber(steps, lanes),
    left,
  };
}

/** Lanes without a step are left out, so the numbers of the others change. */
function renumber(steps: readonly Step[], lanes: readonly Lane[]): Step[] {
  const used = lanes.map((_, lane) => steps.some((step) => step.from === lane || step.to === lane));
  const number = (lane: number): number => used.slice(0, lane).filter(Boolean).length;
  return steps.map((step) => ({
    ...step,
    from: number(step.from),
    to: step.to === null ? null : number(step.to),
  }));
}

function lanesOf(events: readonly TraceEvent[], names: readonly string[]): Lane[] {
  const hosts = [...new Set([...names, ...events.map(({ host }) => host)])];
  return hosts.flatMap((host) => {
    const devices = [
      ...new Set(events.flatMap((event) => (event.host === host && 'device' in event ? [event.device] : []))),
    ].slice(0, MOST_DEVICES);
    return [
      { id: host, title: host, host, kind: 'vmm' as const },
      ...devices.map((device, index) => ({
        id: `${host}/${device}`,
        title: shortDevice(device, index),
        host,
        kind: 'device' as const,
      })),
    ];
  });
}

/** A UUID says nothing to a reader. */
function shortDevice(device: string, index: number): string {
  return device.length > 16 ? `device ${index + 1}` : device;
}

const sameStep = (a: Step, b: Step): boolean =>
  a.from === b.from && a.to === b.to && a.text === b.text && a.kind === b.kind && a.kind !== 'state';

function stepsOf(event: TraceEvent, at: ReadonlyMap<string, number>): Step[] {
  const vmm = at.get(event.host);
  const device = 'device' in event ? at.get(`${event.host}/${event.device}`) : undefined;
  if (vmm === undefined) return [];
  const made = describe(event);
  return made.flatMap(({ who, text, kind, bytes = 0 }): Step[] => {
    const step = { text, kind, times: 1, bytes };
    if (who === 'vmm') return [{ ...step, from: vmm, to: null }];
    if (device === undefined) return [];
    if (who === 'device') return [{ ...step, from: device, to: null }];
    return who === 'to-device' ? [{ ...step, from: vmm, to: device }] : [{ ...step, from: device, to: vmm }];
  });
}

interface Said {
  readonly who: 'vmm' | 'device' | 'to-device' | 'to-vmm';
  readonly text: string;
  readonly kind: Step['kind'];
  readonly bytes?: number;
}

/** What of an event is worth a row. */
function describe(event: TraceEvent): Said[] {
  const call = (text: string, errno?: number): Said[] => [
    { who: 'to-device', text: errno ? `${text}: ${errnoName(errno)}` : text, kind: errno ? 'fails' : 'call' },
  ];
  switch (event.kind) {
    case 'set_state':
      return call(`SET_STATE ${event.state}`);
    case 'set_state_result':
      if (event.errno) return [{ who: 'to-vmm', text: errnoName(event.errno), kind: 'fails' }];
      return event.state === undefined ? [] : [{ who: 'device', text: event.state, kind: 'state' }];
    case 'reset':
      return event.offered === false ? [] : call('VFIO_DEVICE_RESET', event.errno);
    case 'data_read':
      return moved('to-vmm', 'read', event.result);
    case 'data_write':
      return moved('to-device', 'write', event.result);
    case 'precopy_info':
      return call(event.reinit ? 'GET_PRECOPY_INFO: REINIT' : 'GET_PRECOPY_INFO', event.errno);
    case 'dma_logging_start':
    case 'dma_logging_stop':
    case 'dma_logging_report':
      return call(event.kind.toUpperCase(), event.errno);
    case 'migration_status':
      return [{ who: 'vmm', text: event.status, kind: event.status === 'failed' ? 'fails' : 'status' }];
    case 'vm_state':
      return [{ who: 'vmm', text: event.running ? 'VM runs' : 'VM stops', kind: 'status' }];
    case 'migration_cancel':
      return [{ who: 'vmm', text: 'migrate_cancel', kind: 'call' }];
    case 'migration_error':
      return [{ who: 'vmm', text: 'error', kind: 'fails' }];
    case 'postcopy_start':
      return [{ who: 'vmm', text: 'switch to post-copy', kind: 'status' }];
    case 'switchover_start':
      return [{ who: 'vmm', text: `SWITCHOVER_START ${event.sent ? 'sent' : 'came'}`, kind: 'call' }];
    case 'bitmap_sync':
      return [{ who: 'vmm', text: 'dirty bitmap sync', kind: 'call' }];
    default:
      return vhostSteps(event);
  }
}

/** The same of vhost. */
function vhostSteps(event: TraceEvent): Said[] {
  const call = (text: string): Said[] => [{ who: 'to-device', text, kind: 'call' }];
  switch (event.kind) {
    case 'vhost_message':
      if (event.reply) return [];
      return [
        {
          who: event.from === 'front_end' ? 'to-device' : 'to-vmm',
          text: String(event.request),
          kind: 'call',
        },
      ];
    case 'vdpa_status':
      return call(`SET_STATUS 0x${(event.status ?? 0).toString(16)}`);
    case 'vdpa_suspend':
      return call('VHOST_VDPA_SUSPEND');
    case 'vhost_iotlb':
      return call('IOTLB message');
    case 'vhost_logging':
      return call(event.on ? 'log on' : 'log off');
    case 'vhost_log_base':
      return call('SET_LOG_BASE');
    case 'vhost_log_read':
      return call('dirty log read');
    case 'shadow_virtqueues':
      return call('shadow virtqueues');
    case 'vhost_dev_start':
      return event.begin ? call('back end starts') : [];
    case 'vhost_dev_stop':
      return event.begin ? call('back end stops') : [];
    case 'vring_base_read':
      return call('GET_VRING_BASE');
    default:
      return [];
  }
}

function moved(who: Said['who'], what: string, result: number): Said[] {
  if (result < 0) return [{ who, text: `${what}: ${errnoName(-result)}`, kind: 'fails' }];
  return [{ who, text: result === 0 ? `${what}: end` : what, kind: 'data', bytes: result }];
}
