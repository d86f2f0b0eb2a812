import { inPreCopy } from '../machines/vfio-arcs.js';
import type { EventKind, EventOf, TraceEvent } from '../trace/event.js';
import type { MigState } from '../uapi/vfio.js';
import type { DeviceTracker } from './device-tracker.js';
import { getOrAdd } from './get-or-add.js';
import type { HostTracker } from './host-tracker.js';
import { MAX_MIGRATIONS, MAX_SPANS, type MigrationMeasurement, type Span } from './report.js';

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
  /** The attempt under way, with the time at which the VM was stopped for it. */
  current: (MigrationMeasurement & { stopped: number | null; syncs: number; exact: number }) | null;
}

/** Longest name of a span; what is longer is no state. */
const MAX_NAME = 256;

/** The kinds of event that are measured and may interest nobody else. */
export const MEASURED: readonly EventKind[] = ['run_state', 'bitmap_sync', 'query_pending'];

/** Times, bytes and rounds, taken from the same pass. All times in microseconds. */
export class Measure {
  readonly migrations: MigrationMeasurement[] = [];
  /** Attempts and spans beyond the bounds of the report. */
  unlisted = { migrations: 0, spans: 0 };
  #spans = 0;
  readonly #devices = new Map<DeviceTracker, DeviceMeasure>();
  readonly #hosts = new Map<HostTracker, HostMeasure>();

  /** Takes an event after the machines have taken it. */
  take(host: HostTracker, event: TraceEvent): void {
    switch (event.kind) {
      case 'set_state_result':
      case 'get_state':
      case 'reset':
      case 'driver_arc':
        this.#state(host.device(event.device), event.t);
        break;
      case 'data_read':
        this.#bytes(host, host.device(event.device), event.result);
        break;
      case 'migration_status':
        this.#status(host, event);
        break;
      case 'run_state':
        this.#changed(this.#host(host).runStates, event.to, event.t);
        break;
      case 'vm_state':
        this.#vm(host, event);
        break;
      case 'bitmap_sync':
        this.#round(host, 'syncs');
        break;
      case 'query_pending':
        if (event.exact) this.#round(host, 'exact');
    }
  }

  spansOf(device: DeviceTracker): Span[] {
    return this.#devices.get(device)?.spans ?? [];
  }

  timesOf(device: DeviceTracker): Partial<Record<MigState, number>> {
    return this.#devices.get(device)?.times ?? {};
  }

  hostOf(host: HostTracker): { statuses: Span[]; runStates: Span[] } {
    return this.#host(host);
  }

  /** Attempts that the trace does not see the end of. */
  finish(): void {
    for (const host of this.#hosts.values()) this.#end(host, 'unfinished', undefined);
  }

  #state(device: DeviceTracker, t: number | undefined): void {
    const state = device.state();
    const measure = getOrAdd(this.#devices, device, () => ({
      spans: [],
      state: null,
      since: null,
      times: {},
    }));
    if (state === measure.state || t === undefined) return;
    if (measure.state !== null && measure.since !== null)
      measure.times[measure.state] = (measure.times[measure.state] ?? 0) + (t - measure.since);
    measure.state = state;
    measure.since = t;
    this.#changed(measure.spans, state, t);
  }

  #bytes(host: HostTracker, device: DeviceTracker, bytes: number): void {
    const { current } = this.#host(host);
    const state = device.before();
    if (!current || bytes <= 0 || state === null) return;
    if (inPreCopy(state)) current.bytes.precopy += bytes;
    else current.bytes.stopcopy += bytes;
  }

  #status(host: HostTracker, { status, t }: EventOf<'migration_status'>): void {
    const measure = this.#host(host);
    this.#changed(measure.statuses, status, t);
    if (status === 'setup') {
      this.#end(measure, 'unfinished', t);
      measure.current = newAttempt(host.id, t);
    }
    if (measure.current) measure.current.role = host.isDestination ? 'destination' : 'source';
    if (status === 'completed' || status === 'failed' || status === 'cancelled')
      this.#end(measure, status, t);
  }

  #vm(host: HostTracker, { running, t }: EventOf<'vm_state'>): void {
    const { current } = this.#host(host);
    if (current && !running && current.stopped === null) current.stopped = t ?? null;
  }

  #round(host: HostTracker, what: 'syncs' | 'exact'): void {
    const { current } = this.#host(host);
    if (current) current[what]++;
  }

  /** Closes the attempt under way, if there is one. */
  #end(measure: HostMeasure, outcome: MigrationMeasurement['outcome'], t: number | undefined): void {
    if (!measure.current) return;
    const { stopped, syncs, exact, ...attempt } = measure.current;
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

  #host(host: HostTracker): HostMeasure {
    return getOrAdd(this.#hosts, host, () => ({ statuses: [], runStates: [], current: null }));
  }
}

function newAttempt(host: string, t: number | undefined): NonNullable<HostMeasure['current']> {
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
    syncs: 0,
    exact: 0,
  };
}
