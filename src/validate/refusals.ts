import { type Automaton, REFUSED, step } from '../automaton/automaton.js';
import type { Refusal, Rule } from '../rules/rule.js';
import type { TraceEvent } from '../trace/event.js';
import type { Alternatives, Observation } from './alternatives.js';
import type { DeviceTracker } from './device-tracker.js';
import type { FindingText } from './findings.js';

/** Rules that an observation may put to the test, and the state sets in which that was looked at. */
interface Open {
  readonly owner: unknown;
  rules: readonly Rule[];
  readonly looked: Set<number>;
}

/** Finds the rule that a refusal breaks, and the rules that an accepted event puts to the test. */
export class RefusalRules {
  readonly #byMachine = new Map<string, Rule[]>();

  constructor(
    rules: readonly Rule[],
    readonly checked: Set<string>,
  ) {
    for (const rule of rules) {
      if (!rule.refusal) continue;
      const list = this.#byMachine.get(rule.refusal.machine) ?? [];
      this.#byMachine.set(rule.refusal.machine, [...list, rule]);
    }
  }

  /** The rule whose claim fits. @throws Error when no rule claims it: the registry has a hole */
  ruleOf(refusal: Refusal): Rule {
    const rule = this.#byMachine.get(refusal.machine)?.find((each) => claims(each, refusal));
    if (!rule) throw new Error(`no rule claims ${refusal.machine} refusing ${refusal.events.join(' or ')}`);
    return rule;
  }

  /** An event is about to be offered to a machine: rules about it count as checked from now on. */
  exercise(machine: Alternatives, what: Observation): void {
    const open = this.#openOf(machine, what);
    if (open.rules.length === 0 || open.looked.has(machine.key)) return;
    if (machine.key >= 0) open.looked.add(machine.key);
    const before = open.rules.some((rule) => rule.refusal!.in) ? machine.configurations() : [];
    open.rules = open.rules.filter((rule) => {
      if (this.checked.has(rule.id)) return false;
      const { in: inside } = rule.refusal!;
      if (inside && !before.some((each) => inside.test(each))) return true;
      this.checked.add(rule.id);
      return false;
    });
  }

  #openOf(machine: Alternatives, what: Observation): Open {
    const moves = machine.moves(what);
    if (moves.note?.owner === this) return moves.note as Open;
    const open = { owner: this, rules: this.#exercisedBy(machine.machine, what), looked: new Set<number>() };
    moves.note = open;
    return open;
  }

  #exercisedBy(machine: string, what: Observation): Rule[] {
    return (this.#byMachine.get(machine) ?? []).filter(({ refusal }) => {
      const pattern = refusal!.exercisedBy ?? refusal!.event;
      return what.events.some((event) => pattern.test(event));
    });
  }
}

function claims({ refusal }: Rule, seen: Refusal): boolean {
  const { event, in: inside, where } = refusal!;
  return (
    seen.events.some((each) => event.test(each)) &&
    (!inside || seen.before.some((each) => inside.test(each))) &&
    (!where || where(seen))
  );
}

/** What a machine refused, before it is moved to where the trace says it is. */
export function refusalOf(
  machine: Alternatives,
  what: Observation,
  trace: TraceEvent,
  device: DeviceTracker | null,
): Refusal {
  return { machine: machine.machine, events: what.events, before: machine.configurations(), trace, device };
}

/** The words of a refusal's finding: the rule's, or which event came in which states. */
export function refusalText(rule: Rule, refusal: Refusal, machine: Alternatives): FindingText {
  const before = machine.names();
  const message =
    rule.refusal!.message?.(refusal) ?? `${refusal.events.join(' or ')} came in ${listed(before)}`;
  return { message, before, expected: expectedNames(machine, refusal.events) };
}

/** A few names, and how many more there are. */
export function listed(names: readonly string[], most = 6): string {
  if (names.length === 0) return 'no known state';
  const more = names.length > most ? ` and ${names.length - most} more` : '';
  return names.slice(0, most).join(', ') + more;
}

/** What the machine would have taken of the same sort: the words after `SET.` for a `SET.X`. */
function expectedNames(machine: Alternatives, events: readonly string[]): string[] {
  const sort = events[0]?.split('.')[0];
  const expected = machine.expected();
  const same = expected.filter((event) => event.split('.')[0] === sort);
  return (same.length > 0 ? same : expected).filter((event) => !event.startsWith('FAIL.'));
}

/** What a read, a write, a query or a request out of its place did does not tell in which state the device is. */
const SAYS_NO_STATE = /^(READ|WRITE|PRECOPY_INFO|DATA_SIZE|ASK)\./;

/**
 * Puts a machine where a refused event says it must be: in a state to which the event can lead, the
 * regions that it does not move staying as they were.
 */
export function resynchronise(machine: Alternatives, what: Observation): void {
  if (what.events.every((event) => SAYS_NO_STATE.test(event))) return;
  // A call out of its place does not tell in which phase QEMU is.
  if (machine.machine === 'vmm-source' && what.events[0]?.startsWith('CALL.')) return;
  const { repairs } = machine.moves(what);
  const from = machine.key;
  const known = from < 0 ? undefined : repairs.get(from);
  if (known !== undefined) {
    machine.put(known);
    return;
  }
  restart(machine, what);
  if (from >= 0) repairs.set(from, machine.key);
}

function restart(machine: Alternatives, what: Observation): void {
  const before = new Set(machine.configurations());
  const targets = new Set<string>();
  for (const { sets } of machine.monitors)
    for (const event of what.in(sets).events)
      if (event >= 0) for (const target of targetsOf(sets.automaton, event, before)) targets.add(target);
  if (targets.size > 0) machine.restart((configuration) => targets.has(configuration.join(' ')));
}

function targetsOf(automaton: Automaton, event: number, before: ReadonlySet<string>): string[] {
  const moves = automaton.states.flatMap((configuration, state) => {
    const to = step(automaton, state, event);
    return to === REFUSED ? [] : [{ from: configuration, to: automaton.states[to]! }];
  });
  const still = automaton.regions.map((_, region) =>
    moves.every(({ from, to }) => from[region] === to[region]),
  );
  const past = [...before].map((each) => each.split(' '));
  const kept = moves.filter(({ to }) =>
    past.some((configuration) =>
      still.every((same, region) => !same || configuration[region] === to[region]),
    ),
  );
  return (kept.length > 0 ? kept : moves).map(({ to }) => to.join(' '));
}
