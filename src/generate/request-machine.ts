import { type Automaton, compile, type Mealy, REFUSED, step } from '../automaton/index.js';
import { type CapabilitySet, machineNamed } from '../machines/index.js';
import { MIG_STATES, type MigState } from '../uapi/vfio.js';

/** What a device answers to a request: done, done with a new data_fd, or an errno. */
export const ANSWERS = ['ok', 'data_fd', 'errno'] as const;

/** An input: a SET of MIG_DEVICE_STATE, or VFIO_DEVICE_RESET. */
export type Request = MigState | 'RESET';
export const REQUESTS: readonly Request[] = [...MIG_STATES, 'RESET'];

const compiled = new WeakMap<CapabilitySet, Automaton>();

/** The tables of the vfio-device chart for a capability set. */
export function deviceAutomaton(caps: CapabilitySet): Automaton {
  const known = compiled.get(caps);
  if (known) return known;
  const automaton = compile(machineNamed('vfio-device')!.make(caps));
  compiled.set(caps, automaton);
  return automaton;
}

/**
 * The requested view as a machine with answers: the states that requests reach, every request in each,
 * and what a device answers that does all that is allowed and refuses the rest. A session is fed before
 * it is left: a load has its data.
 * @param options.status adds the input `GET`, which answers with the state
 */
export function requestMachine(caps: CapabilitySet, options: { status?: boolean } = {}): Mealy {
  const automaton = deviceAutomaton(caps);
  const inputs = options.status ? [...REQUESTS, 'GET'] : REQUESTS;
  const states = [0];
  const next: number[] = [];
  const output: number[] = [];
  for (const state of states) {
    const [name] = automaton.states[state] as [MigState];
    for (const input of inputs) {
      const [answer, to] =
        input === 'GET'
          ? [ANSWERS.length + MIG_STATES.indexOf(name), state]
          : answerTo(automaton, state, input as Request);
      if (!states.includes(to)) states.push(to);
      next.push(states.indexOf(to));
      output.push(answer);
    }
  }
  return {
    name: 'vfio-device',
    states: states.map((state) => automaton.states[state]![0]!),
    inputs,
    outputs: options.status ? [...ANSWERS, ...MIG_STATES] : ANSWERS,
    next: Int16Array.from(next),
    output: Int16Array.from(output),
  };
}

function answerTo(automaton: Automaton, state: number, request: Request): [answer: number, to: number] {
  const events = request === 'RESET' ? ['RESET.ok'] : [`SET.${request}`, `SET.${request}.data_fd`];
  for (const [answer, event] of events.entries()) {
    const index = automaton.eventIndex.get(event);
    const to = index === undefined ? REFUSED : step(automaton, state, index);
    if (to !== REFUSED) return [answer, to];
  }
  return [ANSWERS.indexOf('errno'), state];
}
