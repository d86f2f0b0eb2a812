import type { Observed } from './distinguish.js';
import { equivalent } from './equivalent.js';
import type { Mealy } from './mealy.js';

/** A transition: what a state does on an input. */
export interface Transition {
  readonly state: number;
  readonly input: number;
}

/** What is wrong in a faulty machine: one transition, perhaps behind hidden states. */
export interface Fault extends Transition {
  /**
   * The transitions that enter hidden states, in their order: the first is of a state of the model, each
   * other one of the hidden state before. Empty: the fault shows in a state of the model itself.
   */
  readonly entries: readonly Transition[];
  /** The wrong target, or the wrong output. */
  readonly wrong: { readonly target: number } | { readonly output: number };
}

/** A machine with one fault. */
export interface Mutant {
  readonly machine: Mealy;
  readonly fault: Fault;
}

/**
 * All machines with one fault behind `hidden` extra states, without those that no word tells from the model.
 *
 * With no hidden state: each transition with each wrong target and each wrong output. With one: each
 * transition enters a copy of its target, which does as the target does, and in it one transition has a
 * wrong target or a wrong output. With more, copies are entered one from another. A copy answers the status
 * message as its original: the status message itself has no fault. Outputs are those that inputs other than
 * the status message give, and targets the states of the model.
 */
export function* mutants(model: Observed, hidden = 0): Generator<Mutant> {
  const { machine, inputs } = model;
  const outputs = outputsOf(model);
  for (const { machine: base, entries, state, original } of withHidden(model, hidden)) {
    for (const input of inputs) {
      const at = state * machine.inputs.length + input;
      const faults: Fault['wrong'][] = [
        ...machine.states.map((_, target) => ({ target })),
        ...outputs.map((output) => ({ output })),
      ];
      for (const wrong of faults) {
        const changed = 'target' in wrong ? { next: base.next.slice() } : { output: base.output.slice() };
        if ('target' in wrong) changed.next![at] = wrong.target;
        else changed.output![at] = wrong.output;
        const mutant = { ...base, ...changed };
        if (!equivalent(machine, mutant))
          yield { machine: mutant, fault: { entries, state: original, input, wrong } };
      }
    }
  }
}

/** The outputs that inputs other than the status message give, in their order. */
function outputsOf({ machine, inputs }: Observed): number[] {
  const given = machine.states.flatMap((_, state) =>
    inputs.map((input) => machine.output[state * machine.inputs.length + input]!),
  );
  return [...new Set(given)].sort((a, b) => a - b);
}

/** A machine that does as the model, and the state in which a fault is to be put. */
interface Base {
  readonly machine: Mealy;
  readonly entries: readonly Transition[];
  readonly state: number;
  /** The state of the model that this one is, or copies. */
  readonly original: number;
}

function* withHidden(model: Observed, hidden: number): Generator<Base> {
  const { machine, inputs } = model;
  if (hidden === 0) {
    for (const state of machine.states.keys()) yield { machine, entries: [], state, original: state };
    return;
  }
  for (const base of withHidden(model, hidden - 1)) {
    for (const input of inputs) {
      const original = machine.next[base.original * machine.inputs.length + input]!;
      yield {
        machine: withCopy(base.machine, model, base.state, input, original),
        entries: [...base.entries, { state: base.original, input }],
        state: base.machine.states.length,
        original,
      };
    }
  }
}

/** A machine with a copy of a state of the model more, entered from `from` by `input`. */
function withCopy(machine: Mealy, model: Observed, from: number, input: number, original: number): Mealy {
  const width = machine.inputs.length;
  const copy = machine.states.length;
  const row = <T extends Int16Array>(table: T) => table.subarray(original * width, (original + 1) * width);
  const next = Int16Array.of(...machine.next, ...row(model.machine.next));
  next[from * width + input] = copy;
  if (model.status !== null) next[copy * width + model.status] = copy;
  return {
    ...machine,
    states: [...machine.states, `${model.machine.states[original]}'`],
    next,
    output: Int16Array.of(...machine.output, ...row(model.machine.output)),
  };
}

/** A fault in words, such as `STOP on RUNNING goes to STOP_COPY`. */
export function faultText(
  { states, inputs, outputs }: Mealy,
  { entries, state, input, wrong }: Fault,
): string {
  const way = entries.map((each) => `${states[each.state]} on ${inputs[each.input]}, then `).join('');
  const what = 'target' in wrong ? `goes to ${states[wrong.target]}` : `answers ${outputs[wrong.output]}`;
  return `${way}${states[state]} on ${inputs[input]} ${what}`;
}
