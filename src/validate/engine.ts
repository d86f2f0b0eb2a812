import { profileDeviation } from '../machines/profiles.js';
import type { Refusal, Rule, Scope, Watch } from '../rules/rule.js';
import type { EventKind, TraceEvent } from '../trace/event.js';
import type { Alternatives, Observation } from './alternatives.js';
import { Crowd } from './crowd.js';
import { type DeviceTracker, RELEVANT } from './device-tracker.js';
import { Findings, type Witness } from './findings.js';
import { getOrAdd } from './get-or-add.js';
import { type Handler, type Handlers, HostTracker, type Listener, type Steps } from './host-tracker.js';
import { MEASURED, Measure } from './measure.js';
import { DEVICE_PROJECTION } from './project-device.js';
import { HOST_PROJECTION } from './project-host.js';
import { RefusalRules, refusalOf, refusalText, resynchronise } from './refusals.js';

/** Runs machines and rules over events, one at a time, in the order in which they come. */
export class Engine implements Listener {
  readonly hosts = new Map<string, HostTracker>();
  readonly checked = new Set<string>();
  readonly findings: Findings;
  readonly measure = new Measure();
  readonly crowd = new Crowd();
  readonly #rules: readonly Rule[];
  readonly #refusals: RefusalRules;
  readonly #traceHandlers: Handlers;
  readonly #ends: (() => void)[] = [];
  /** What the watch of each rule over a device listens to. */
  readonly #listens = new Map<Rule, ReadonlySet<string>>();
  #last: HostTracker | null = null;

  constructor(
    rules: readonly Rule[],
    options: { profile?: string | undefined; limit: number; traced?: ReadonlySet<EventKind> | undefined },
  ) {
    this.#rules = rules;
    this.findings = new Findings(options.profile, options.limit, profileDeviation, options.traced);
    this.#refusals = new RefusalRules(rules, this.checked);
    const engine = this;
    const all: Witness[] = [
      {
        get seen() {
          return engine.seen;
        },
      },
    ];
    this.#traceHandlers = this.#start((rule) => rule.trace?.(this.#scope(rule, () => all)));
  }

  /** The kinds of event that some machine, rule or measurement of such an engine listens to. */
  static wanted(rules: readonly Rule[]): ReadonlySet<EventKind> {
    const kinds = new Set<EventKind>([...RELEVANT, ...MEASURED]);
    for (const kind of [...Object.keys(DEVICE_PROJECTION), ...Object.keys(HOST_PROJECTION)])
      kinds.add(kind as EventKind);
    for (const rule of rules) for (const kind of rule.needs) kinds.add(kind);
    const engine = new Engine(rules, { limit: 0 });
    const host = engine.#host('');
    for (const { watchers } of [host, host.device(''), { watchers: engine.#traceHandlers }])
      for (const kind of watchers.keys()) kinds.add(kind);
    return kinds;
  }

  /** Takes the next event. */
  process(event: TraceEvent): void {
    const device = 'device' in event ? event.device : undefined;
    const host = this.#last?.id === event.host ? this.#last : this.hosts.get(event.host);
    const tracker = device === undefined ? host : host?.known(device);
    if (tracker) {
      this.#last = host!;
      tracker.take(event);
    } else if (this.crowd.admits(event)) {
      const joined = this.#host(event.host);
      (device === undefined ? joined : joined.device(device)).take(event);
    }
  }

  /** The trace is over: rules say what only the end can tell. */
  finish(): void {
    for (const end of this.#ends) end();
  }

  /** All kinds of event that came. */
  get seen(): ReadonlySet<EventKind> {
    const hosts = [...this.hosts.values()];
    const witnesses = hosts.flatMap((host) => [host, ...host.devices.values()]);
    return new Set(witnesses.flatMap(({ seen }) => [...seen]));
  }

  exercise(machine: Alternatives, what: Observation): void {
    this.#refusals.exercise(machine, what);
  }

  refuse(
    machine: Alternatives,
    what: Observation,
    event: TraceEvent,
    host: HostTracker,
    device: DeviceTracker | null,
  ): void {
    const refusal = refusalOf(machine, what, event, device);
    const rule = this.#refusals.ruleOf(refusal);
    this.checked.add(rule.id);
    this.findings.add(
      rule,
      event,
      device?.id ?? null,
      () => refusalText(rule, refusal, machine),
      () => witnessesOf(rule, refusal, host, device),
    );
    resynchronise(machine, what);
  }

  #host(id: string): HostTracker {
    this.#last = getOrAdd(this.hosts, id, () => new HostTracker(id, this));
    return this.#last;
  }

  watchHost(host: HostTracker): Handlers {
    const witnesses = () => [host, ...host.devices.values()];
    return this.#start((rule) => rule.host?.(host, this.#scope(rule, witnesses)));
  }

  /**
   * The first device shows which kinds the watch of each rule listens to. A later one gets a watch when an event of
   * its kinds comes: most devices are of one interface, and a trace may have thousands.
   */
  watchDevice(device: DeviceTracker): Handlers {
    const handlers: Handlers = new Map();
    if (this.#listens.size > 0) return handlers;
    for (const rule of this.#rules) {
      const watch = this.#watchOf(rule, device);
      if (watch === undefined) continue;
      this.#listens.set(rule, new Set(Object.keys(watch)));
      this.#enter(watch, handlers);
      device.watched.add(rule);
    }
    return handlers;
  }

  #watchOf(rule: Rule, device: DeviceTracker): Watch | undefined {
    const witnesses = [device, device.host];
    return rule.device?.(
      device,
      this.#scope(rule, () => witnesses),
    );
  }

  /** Starts the watches of a device that listen to this kind and are not started yet. */
  #startFor(device: DeviceTracker, kind: EventKind): void {
    for (const [rule, kinds] of this.#listens) {
      if (!kinds.has(kind) || device.watched.has(rule)) continue;
      device.watched.add(rule);
      this.#enter(this.#watchOf(rule, device) ?? {}, device.watchers);
    }
  }

  deviceSteps(device: DeviceTracker, kind: EventKind): Steps {
    const { host } = device;
    this.#startFor(device, kind);
    const project = DEVICE_PROJECTION[kind] as Projected<DeviceTracker> | undefined;
    return [
      project && ((event: TraceEvent) => project(device, event as never)),
      ...(device.watchers.get(kind) ?? []),
      ...(host.watchers.get(kind) ?? []),
      ...(this.#traceHandlers.get(kind) ?? []),
      this.measure.deviceStep(device, kind),
    ].filter((step) => step !== undefined);
  }

  hostSteps(host: HostTracker, kind: EventKind): Steps {
    const project = HOST_PROJECTION[kind] as Projected<HostTracker> | undefined;
    return [
      project && ((event: TraceEvent) => project(host, event as never)),
      ...(host.watchers.get(kind) ?? []),
      ...(this.#traceHandlers.get(kind) ?? []),
      this.measure.hostStep(host, kind),
    ].filter((step) => step !== undefined);
  }

  #scope(rule: Rule, witnesses: () => Witness[]): Scope {
    return {
      check: () => {
        this.checked.add(rule.id);
      },
      fail: (event, message, expected = [], device) => {
        this.checked.add(rule.id);
        const about = device ?? ('device' in event ? event.device : null);
        this.findings.add(rule, event, about, () => ({ message, expected }), witnesses);
      },
    };
  }

  /** Starts the watches of all rules for one scope, sorted by kind of event. */
  #start(watchOf: (rule: Rule) => Watch | undefined): Handlers {
    const handlers: Handlers = new Map();
    for (const rule of this.#rules) {
      const watch = watchOf(rule);
      if (watch) this.#enter(watch, handlers);
    }
    return handlers;
  }

  #enter(watch: Watch, handlers: Handlers): void {
    for (const [kind, handler] of Object.entries(watch)) {
      if (kind === 'end') this.#ends.push(handler as () => void);
      else getOrAdd(handlers, kind as EventKind, () => [] as Handler[]).push(handler as Handler);
    }
  }
}

type Projected<T> = (tracker: T, event: never) => void;

/**
 * Who has to have been seen for a refusal to stand, and what else. A device that was told of something
 * that QEMU does for all of its devices may be gone by then (unplugged): it has to show itself once more.
 */
function witnessesOf(
  rule: Rule,
  refusal: Refusal,
  host: HostTracker,
  device: DeviceTracker | null,
): Witness[] {
  const own = device ? [device, host] : [host, ...host.devices.values()];
  const also = rule.refusal?.alsoNeeds?.(refusal) ?? [];
  const told = device !== null && !('device' in refusal.trace);
  if (also.length === 0 && !told) return own;
  const taken = device?.taken ?? 0;
  const confirms: Witness['confirms'] = (traced) =>
    also.every(traced) && (!told || (device?.taken ?? 0) > taken);
  return [...own, { seen: NOTHING, confirms }];
}

const NOTHING: ReadonlySet<EventKind> = new Set();
