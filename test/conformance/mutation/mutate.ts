import type { TraceEvent } from '../../../src/trace/event.js';
import { MIGRATION_STATUSES } from '../../../src/uapi/qemu.js';
import { MIG_STATES } from '../../../src/uapi/vfio.js';

/** A generator of numbers in [0, 1) that gives the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export interface Mutant {
  /** What was done, for the message of a test that fails. */
  what: string;
  events: TraceEvent[];
}

/** Breaks a trace in one place: drops, repeats, swaps or retargets an event, or changes a result. */
export function mutate(events: readonly TraceEvent[], random: () => number): Mutant {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const at = random() < 0.1 ? Math.floor(random() * events.length) : pick(telling(events));
  const event = events[at]!;
  const name = `${event.kind} (line ${event.line ?? at})`;
  const replaced = (other: TraceEvent): TraceEvent[] => events.toSpliced(at, 1, other);
  switch (pick(['drop', 'repeat', 'swap', 'retarget', 'result', 'result'])) {
    case 'drop':
      return { what: `drop ${name}`, events: events.toSpliced(at, 1) };
    case 'repeat':
      return { what: `repeat ${name}`, events: events.toSpliced(at, 0, event) };
    case 'swap': {
      const other = Math.min(events.length - 1, at + 1 + Math.floor(random() * 4));
      return { what: `swap ${name} with the one at ${other}`, events: swapped(events, at, other) };
    }
    case 'retarget':
      return { what: `retarget ${name}`, events: replaced(retargeted(event, events, pick)) };
    default:
      return { what: `change the result of ${name}`, events: replaced(changed(event, pick)) };
  }
}

/** Kinds that come in crowds and say little: most of a log, and of no interest in a mutant. */
const CROWD = new Set<TraceEvent['kind']>([
  'bitmap_sync',
  'data_size',
  'dirty_bitmap',
  'precopy_info',
  'query_pending',
  'run_state',
  'save_iterate',
  'state_pending',
]);

const tellingPlaces = new WeakMap<readonly TraceEvent[], number[]>();

/** The places of all other events. */
function telling(events: readonly TraceEvent[]): number[] {
  const known = tellingPlaces.get(events);
  if (known) return known;
  const places = [...events.keys()].filter((at) => !CROWD.has(events[at]!.kind));
  tellingPlaces.set(events, places);
  return places;
}

function swapped(events: readonly TraceEvent[], a: number, b: number): TraceEvent[] {
  const result = [...events];
  [result[a], result[b]] = [result[b]!, result[a]!];
  return result;
}

type Pick = <T>(list: readonly T[]) => T;

/** The same event about another device, host, state or status. */
function retargeted(event: TraceEvent, events: readonly TraceEvent[], pick: Pick): TraceEvent {
  if (event.kind === 'migration_status') return { ...event, status: pick(MIGRATION_STATUSES) };
  if (event.kind === 'set_state') return { ...event, state: pick(MIG_STATES.slice(1)) };
  if (event.kind === 'vm_state') return { ...event, running: !event.running };
  if (!('device' in event)) return { ...event, host: pick(events).host };
  const other = pick(events.filter((each) => 'device' in each));
  return { ...event, host: other.host, device: (other as { device: string }).device };
}

function changed(event: TraceEvent, pick: Pick): TraceEvent {
  switch (event.kind) {
    case 'set_state_result':
      return { ...event, state: pick(MIG_STATES.slice(1)) };
    case 'data_read':
      return { ...event, result: pick([0, -42, -19, 8]) };
    case 'data_write':
      return { ...event, result: pick([-14, -22, 8]) };
    case 'save_complete':
    case 'destination_load_end':
      return { ...event, errno: event.errno ? 0 : 5 };
    case 'query_pending':
      return event.ackTotal === undefined ? event : { ...event, ackTotal: event.ackTotal + 1 };
    case 'notifier':
      return { ...event, event: pick(['setup', 'done', 'failed'] as const) };
    case 'switchover_ack':
    case 'switchover_approved':
      return { ...event, pending: (event.pending ?? 0) + 1 };
    case 'driver_arc':
      return { ...event, to: pick(MIG_STATES.slice(1)) };
    default:
      return event;
  }
}
