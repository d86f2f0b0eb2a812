import type { ParseCounts } from '../trace/reader.js';
import type { Party } from '../uapi/party.js';
import type { MigState } from '../uapi/vfio.js';

/** Name and version of the JSON that `stopcopy validate --json` prints. */
export const REPORT_SCHEMA = 'stopcopy-validate-1';

/** `inconclusive`: nothing relevant was seen, or too little of it. */
export type Verdict = 'conformant' | 'violation' | 'inconclusive';
export type { Party };
/** `must`: the text binds. `should`: the text recommends. `note`: known behaviour; never changes a verdict. */
export type Level = 'must' | 'should' | 'note';

/** One broken rule at one place of the trace. */
export interface Finding {
  rule: string;
  title: string;
  party: Party;
  level: Level;
  /** Device the finding is about, or null when it is about the whole host. */
  device: string | null;
  host: string;
  file: string | null;
  /** Line from 1 (byte offset for binary input), or null. */
  line: number | null;
  /** Time in microseconds in the host's clock, or null. */
  t: number | null;
  /** What happened, in one sentence. */
  message: string;
  /** What would have been allowed instead. */
  expected: string[];
  /** States that were still possible before the event; empty when no machine state is involved. */
  before: string[];
  /** The clause that is broken: where it stands, and what it says in our words. */
  clause: { id: string; source: string; text: string };
  /** What usually leads to this. */
  cause: string;
  /** Set when a named implementation is known to differ here; the words say how. */
  known: string | null;
}

/** A stretch of time in one state, for timelines. Times in microseconds of the host's clock. */
export interface Span {
  name: string;
  start: number;
  /** null: still so when the trace ended. */
  end: number | null;
}

/** What a device is when it is none of VFIO. */
export type OtherDevice = 'vhost' | 'vhost-user' | 'vdpa' | 'dirty-log';

/** What is said of one device of a host. */
export interface DeviceReport {
  id: string;
  host: string;
  verdict: Verdict;
  /** What it is, when it is no VFIO device: a back end by its interface, or a dirty log. */
  kind?: OtherDevice;
  /** How far a back end was at the end, in the words of its machine; null: not certain. */
  state?: string | null;
  role: 'source' | 'destination' | 'none';
  /** Capability names, such as `stop-copy`, `p2p`; empty when the trace does not show them. */
  capabilities: string[];
  /** The state at the end, or null when more than one is possible. */
  finalState: MigState | null;
  /** Successful changes of state that were seen. */
  transitions: number;
  /** Bytes read from and written to data_fds. */
  bytesRead: number;
  bytesWritten: number;
  /** Empty when the input has no times; bounded by `MAX_SPANS`. */
  states: Span[];
}

/** Most spans that are kept, over all devices and hosts. */
export const MAX_SPANS = 100_000;

/** Most attempts to migrate that are listed. */
export const MAX_MIGRATIONS = 10_000;

/** One attempt to migrate, as one host saw it. Times in microseconds; null: not seen. */
export interface MigrationMeasurement {
  host: string;
  role: 'source' | 'destination';
  outcome: 'completed' | 'failed' | 'cancelled' | 'unfinished';
  start: number | null;
  total: number | null;
  /** From the stop of the VM to the end of the outgoing stream (source), or its start (destination). */
  downtime: number | null;
  /** Bytes of device state by phase. */
  bytes: { precopy: number; stopcopy: number };
  /** RAM bitmap syncs, or pending queries with exact=1, whichever the trace shows. */
  rounds: number;
}

/** A quantity over time, thinned to some thousand points. Times in microseconds of the host's clock. */
export interface Curve {
  name: string;
  unit: 'bytes' | 'pages';
  points: [t: number, value: number][];
}

/** What is said of one host: a process with devices. */
export interface HostReport {
  id: string;
  role: 'source' | 'destination' | 'both' | 'none';
  version: string | null;
  statuses: Span[];
  runStates: Span[];
  /** Dirty pages, bytes that are pending, RAM and device state that were moved: what the input shows of them. */
  curves: Curve[];
}

/** What was read of one input. */
export interface InputReport {
  file: string;
  format: string;
  host: string;
  bytes: number;
  /** True when the last line or record was incomplete. */
  cut: boolean;
  counts: Omit<ParseCounts, 'unknown'> & { unknown: Record<string, number> };
  remarks: string[];
}

/** What `validate --json` prints. */
export interface Report {
  schema: typeof REPORT_SCHEMA;
  verdict: Verdict;
  /** Why the verdict is `inconclusive`, else null. */
  reason: string | null;
  devices: DeviceReport[];
  hosts: HostReport[];
  /** Findings of level must and should, then notes; bounded, see `suppressed`. */
  violations: Finding[];
  /** Findings beyond the bound, by rule. */
  suppressed: Record<string, number>;
  rules: {
    /** Rules that were exercised: the trace showed what they need and at least one case of theirs. */
    checked: string[];
    /** Rules that need kinds of event which no input can show. */
    notObservable: { rule: string; needs: string[] }[];
    /** Rules that could be seen, but whose situation never came. */
    notApplicable: string[];
  };
  events: {
    lines: number;
    decoded: number;
    ignored: number;
    malformed: number;
    unknown: Record<string, number>;
  };
  inputs: InputReport[];
  measurements: {
    migrations: MigrationMeasurement[];
    /** Per `host/device`: microseconds in each state. */
    timeInState: Record<string, Partial<Record<MigState, number>>>;
  };
}
