import type { CapabilitySet } from '../machines/capabilities.js';
import type { ClauseId } from '../machines/clauses.js';
import type { EventKind, EventOf, TraceEvent } from '../trace/event.js';
import type { Party } from '../uapi/party.js';
import type { MigState } from '../uapi/vfio.js';

/** `must`: the text binds. `should`: the text recommends. `note`: known behaviour, or not certain. */
export type Level = 'must' | 'should' | 'note';

/** Handlers by kind of event; `end` when the trace of the scope is over. */
export type Watch = { [K in EventKind]?: (event: EventOf<K>) => void } & { end?: () => void };

/** What a rule that watches events can ask and say. */
export interface Scope {
  /** The rule's situation has come: from now on it counts as checked. */
  check(): void;
  /** The rule is broken by this event; `device` when the event is about the host and the finding is not. */
  fail(event: TraceEvent, message: string, expected?: readonly string[], device?: string): void;
}

/** One device of a host, as rules see it. */
export interface DeviceView {
  readonly id: string;
  readonly host: HostView;
  /** States that are possible after the current event. */
  states(): readonly MigState[];
  /** The state after the current event, or null when several are possible. */
  state(): MigState | null;
  /** The state before the current event, or null when several were possible. */
  before(): MigState | null;
  /** Capability sets that the device may have. */
  capabilities(): readonly CapabilitySet[];
  /** The pending request, until its answer was seen. */
  readonly request: EventOf<'set_state'> | null;
  /** The device has been in a state of the saving group. */
  readonly saved: boolean;
  /** What moved the device last. */
  readonly lastMove: 'open' | 'reset' | 'set' | 'failed' | null;
  /** Where its last user left a device that was opened anew and not moved since; null: not seen, or not known. */
  readonly leftIn: MigState | null;
  /** The device offers VFIO_DEVICE_RESET; undefined: not known. */
  readonly resetOffered: boolean | undefined;
  /** DMA logging was probed and is offered; undefined: not known. */
  readonly dmaLogging: boolean | undefined;
  /** The device opted in to MIG_PRECOPY_INFOv2; undefined: not known. */
  readonly precopyInfoV2: boolean | undefined;
}

/** One process with devices (a VMM), as rules see it. */
export interface HostView {
  readonly id: string;
  readonly devices: ReadonlyMap<string, DeviceView>;
  /** Whether the VM runs; undefined: not known. */
  readonly vmRunning: boolean | undefined;
  /** The last MigrationStatus; undefined: not known. */
  readonly status: string | undefined;
}

/** A machine could not take what the trace shows. */
export interface Refusal {
  readonly machine: string;
  /** The machine events that the trace event may have been. */
  readonly events: readonly string[];
  /** Possible configurations before it, their regions joined by a blank. */
  readonly before: readonly string[];
  readonly trace: TraceEvent;
  readonly device: DeviceView | null;
}

/** Which refusals of a machine are this rule's. The first rule in the list that claims one gets it. */
export interface RefusalClaim {
  readonly machine: string;
  /** Some machine event matches. */
  readonly event: RegExp;
  /** Some configuration before matches; absent: any. */
  readonly in?: RegExp;
  readonly where?: (refusal: Refusal) => boolean;
  /** Further kinds of event that have to be in the trace for this very refusal to count. */
  readonly alsoNeeds?: (refusal: Refusal) => readonly EventKind[];
  /** Machine events that put the rule to the test when it is kept; the default is `event`. */
  readonly exercisedBy?: RegExp;
  /** The sentence of the finding; the default says which event came in which state. */
  readonly message?: (refusal: Refusal) => string;
}

/** One obligation. */
export interface Rule {
  readonly id: string;
  readonly title: string;
  readonly party: Party;
  readonly level: Level;
  readonly clause: ClauseId;
  /** The obligation in full. */
  readonly about: string;
  /** What usually leads to a violation. */
  readonly causes: string;
  /** Kinds of event that have to be in the trace for a verdict. */
  readonly needs: readonly EventKind[];
  readonly refusal?: RefusalClaim;
  readonly device?: (device: DeviceView, scope: Scope) => Watch;
  readonly host?: (host: HostView, scope: Scope) => Watch;
  /** Over all hosts. */
  readonly trace?: (scope: Scope) => Watch;
  /** A trace that keeps the rule and puts it to the test. */
  readonly conformant: readonly TraceEvent[];
  /** A trace that breaks this rule. */
  readonly violating: readonly TraceEvent[];
}
