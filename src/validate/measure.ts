import { inPreCopy } from '../machines/vfio-arcs.js';
import type { EventKind, EventOf } from '../trace/event.js';
import type { MigState } from '../uapi/vfio.js';
import type { DeviceTracker } from './device-tracker.js';
import { getOrAdd } from './get-or-add.js';
import type { Handler, HostTracker } from './host-tracker.js';
import { type Curve, MAX_MIGRATIONS, MAX_SPANS, type MigrationMeasurement, type Span } from './report.js';
import { Series } from './series.js';

/** What is measured of one device while the trace is read. */
interface DeviceMeasure {
  spans: Span[];
  state: MigState | null;
  since: number | null;
  times: Partial<Record<MigState, number>>;
}

interface HostMeasure {
  statuses: Span[];
  runStates: Span[];
  current: Attempt | null;
  readonly dirty: Series;
  readonly pending: Series;
  readonly moved: Series;
  readonly ram: Series;
  /** Bytes of device state that were moved so far. */
  bytes: number;
}

/** The attempt under way. */
interface Attempt extends MigrationMeasurement {
  /** When the VM was stopped for it. */
  stopped: number | null;
  /** The destination was told of the switchover: what it writes from now on is stop-copy data. */
  switched: boolean;
  syncs: number;
  exact: number;
}

/** Longest name of a span; what is longer is no state. */
const MAX_NAME = 256;

/** The kinds of event that are measured and may interest nobody else. */
export const MEASURED: readonly EventKind[] = ['run_state', 'bitmap_sync', 'query_pending', 'migration_info'];

/** Times, bytes and rounds, taken from the same pass. All times in microseconds. */
export class Measure {
  readonly migrations: MigrationMeasurement[] = [];
  /** Attempts and spans beyond the bounds of the report. */
  unlisted = { migrations: 0, spans: 0 };
  #spans = 0;
  readonly #devices = new Map<DeviceTracker, DeviceMeasure>();
  readonly #hosts = new Map<HostTracker, HostMeasure>();

  /** What measures the events of a kind about a device, after the machines have taken them. */
  deviceStep(device: DeviceTracker, kind: EventKind): Handler | undefined {
    switch (kind) {
      case 'set_state_result':
      case 'get_state':
      case 'reset':
      case 'driver_arc': {
        const measure = this.#device(device);
        return (event) => this.#state(device, measure, event.t);
      }
      case 'data_read': {
        const measure = this.#host(device.host);
        return (event) => {
          addBytes(measure, device, (event as EventOf<'data_read'>).result);
          move(measure, event as EventOf<'data_read'>);
        };
      }
      case 'data_write': {
        const measure = this.#host(device.host);
        return (event) => {
          addWritten(measure, (event as EventOf<'data_write'>).result);
          move(measure, event as EventOf<'data_write'>);
        };
      }
      default:
        return undefined;
    }
  }

  /** What measures the events of a kind about a whole host. */
  hostStep(host: HostTracker, kind: EventKind): Handler | undefined {
    const measure = this.#host(host);
    switch (kind) {
      case 'migration_status':
        return (event) => this.#status(host, measure, event as EventOf<'migration_status'>);
      case 'run_state':
        return (event) => this.#changed(measure.runStates, (event as EventOf<'run_state'>).to, event.t);
      case 'vm_state':
        return (event) => stopped(measure, event as EventOf<'vm_state'>);
      case 'switchover_start':
        return () => {
          if (measure.current) measure.current.switched = true;
        };
      case 'bitmap_sync':
        return (event) => {
          addRound(measure, 'syncs');
          const { dirtyPages, t } = event as EventOf<'bitmap_sync'>;
          if (dirtyPages !== undefined) measure.dirty.add(t, dirtyPages);
        };
      case 'query_pending':
        return (event) => {
          const { exact, total, precopy, t } = event as EventOf<'query_pending'>;
          if (exact) addRound(measure, 'exact');
          const pending = total ?? precopy;
          if (pending !== undefined) measure.pending.add(t, pending);
        };
      case 'migration_info':
        return (event) => {
          const { ramTransferred, vfioTransferred, t } = event as EventOf<'migration_info'>;
          if (ramTransferred !== undefined) measure.ram.add(t, ramTransferred);
          // Where the reads of the device are seen they say it better, and earlier.
          if (vfioTransferred !== undefined && measure.bytes === 0) measure.moved.add(t, vfioTransferred);
        };
      default:
        return undefined;
    }
  }

  spansOf(device: DeviceTracker): Span[] {
    return this.#devices.get(device)?.spans ?? [];
  }

  timesOf(device: DeviceTracker): Partial<Record<MigState, number>> {
    return this.#devices.get(device)?.times ?? {};
  }

  hostOf(host: HostTracker): { statuses: Span[]; runStates: Span[]; curves: Curve[] } {
    const { statuses, runStates, dirty, pending, ram, moved } = this.#host(host);
    const curves = [dirty, pending, ram, moved].flatMap((series) => series.curve() ?? []);
    return { statuses, runStates, curves };
  }

  /** Attempts that the trace does not see the end of. */
  finish(): void {
    for (const host of this.#hosts.values()) this.#end(host, 'unfinished', undefined);
  }

  #state(device: DeviceTracker, measure: DeviceMeasure, t: number | undefined): void {
    const state = device.state();
    if (state === measure.state || t === undefined) return;
    if (measure.state !== null && measure.since !== null)
      measure.times[measure.state] = (measure.times[measure.state] ?? 0) + (t - measure.since);
    measure.state = state;
    measure.since = t;
    this.#changed(measure.spans, state, t);
  }

  #status(host: HostTracker, measure: HostMeasure, { status, t }: EventOf<'migration_status'>): void {
    this.#changed(measure.statuses, status, t);
    if (status === 'setup') {
      this.#end(measure, 'unfinished', t);
      measure.current = newAttempt(host.id, t);
    }
    if (measure.current) measure.current.role = host.isDestination ? 'destination' : 'source';
    if (status === 'completed' || status === 'failed' || status === 'cancelled')
      this.#end(measure, status, t);
  }

  /** Closes the attempt under way, if there is one. */
  #end(measure: HostMeasure, outcome: MigrationMeasurement['outcome'], t: number | undefined): void {
    if (!measure.current) return;
    const { stopped, switched: _, syncs, exact, ...attempt } = measure.current;
    measure.current = null;
    if (this.migrations.length >= MAX_MIGRATIONS) {
      this.unlisted.migrations++;
      return;
    }
    this.migrations.push({
      ...attempt,
      outcome,
      rounds: syncs || exact,
      total: t !== undefined && attempt.start !== null ? t - attempt.start : null,
      downtime: outcome === 'completed' && t !== undefined && stopped !== null ? t - stopped : null,
    });
  }

  /** Ends the last span and begins one; a state that is not known (null) begins none. */
  #changed(spans: Span[], name: string | null, t: number | undefined): void {
    if (t === undefined) return;
    const last = spans.at(-1);
    if (last?.end === null) last.end = t;
    if (name === null) return;
    if (this.#spans >= MAX_SPANS || name.length > MAX_NAME) {
      this.unlisted.spans++;
      return;
    }
    this.#spans++;
    spans.push({ name, start: t, end: null });
  }

  #device(device: DeviceTracker): DeviceMeasure {
    return getOrAdd(this.#devices, device, () => ({ spans: [], state: null, since: null, times: {} }));
  }

  #host(host: HostTracker): HostMeasure {
    return getOrAdd(this.#hosts, host, newHost);
  }
}

function newHost(): HostMeasure {
  return {
    statuses: [],
    runStates: [],
    current: null,
    dirty: new Series('dirty pages', 'pages'),
    pending: new Series('pending', 'bytes'),
    moved: new Series('device state moved', 'bytes'),
    ram: new Series('RAM transferred', 'bytes'),
    bytes: 0,
  };
}

function move(measure: HostMeasure, { result, t }: EventOf<'data_read'> | EventOf<'data_write'>): void {
  if (result <= 0) return;
  measure.bytes += result;
  measure.moved.add(t, measure.bytes);
}

function addBytes({ current }: HostMeasure, device: DeviceTracker, bytes: number): void {
  const state = device.before();
  if (!current || bytes <= 0 || state === null) return;
  if (inPreCopy(state)) current.bytes.precopy += bytes;
  else current.bytes.stopcopy += bytes;
}

function addWritten({ current }: HostMeasure, bytes: number): void {
  if (current && bytes > 0) current.bytes[current.switched ? 'stopcopy' : 'precopy'] += bytes;
}

function stopped({ current }: HostMeasure, { running, t }: EventOf<'vm_state'>): void {
  if (current && !running && current.stopped === null) current.stopped = t ?? null;
}

function addRound({ current }: HostMeasure, what: 'syncs' | 'exact'): void {
  if (current) current[what]++;
}

function newAttempt(host: string, t: number | undefined): Attempt {
  return {
    host,
    role: 'source',
    outcome: 'unfinished',
    start: t ?? null,
    total: null,
    downtime: null,
    bytes: { precopy: 0, stopcopy: 0 },
    rounds: 0,
    stopped: null,
    switched: false,
    syncs: 0,
    exact: 0,
  };
}
