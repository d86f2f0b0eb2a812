import {
  type CompleteMethod,
  type CompleteSuite,
  completeSuite,
  type Mealy,
  type Word,
} from '../automaton/index.js';
import type { CapabilitySet } from '../machines/index.js';
import type { Case } from '../suite/index.js';
import { plural } from '../text/words.js';
import { makeCase } from './case.js';
import { ANSWERS, type Request, requestMachine } from './request-machine.js';
import { lowerRequests } from './steps.js';

export interface MCompleteOptions {
  readonly capabilities: CapabilitySet;
  /** How a state is identified where GET does not tell it; with GET all three give the same suite. */
  readonly method: CompleteMethod;
  /** k: how many hidden states beyond the model's a device may have. */
  readonly extraStates: number;
  /** Whether the state is asked for (GET of MIG_DEVICE_STATE) after each request. */
  readonly status: boolean;
  /** Whether the target has a VFIO_DEVICE_RESET; it has, when left out. */
  readonly reset?: boolean;
}

export interface MComplete {
  readonly cases: Case[];
  /** Which faulty devices are surely found, and what has to hold for that; some sentences. */
  readonly guarantee: string;
  /** States that no request tells apart, by what is seen of the device; class by class. */
  readonly indistinguishable: string[][];
}

/**
 * The cases of an m-complete suite over the requests to a device: one for each word. Words are never joined
 * by a RESET, which is a request of the device under test and may be wrong itself.
 * @throws RangeError when the suite would have more than a million cases, or for less than 0 extra states
 */
export function mCompleteCases(options: MCompleteOptions): MComplete {
  const { capabilities, method, extraStates, status, reset = true } = options;
  const machine = reset
    ? requestMachine(capabilities, { status })
    : without(requestMachine(capabilities, { status }), 'RESET');
  const suite = completeSuite(machine, { method, extraStates, ...(status ? { status: 'GET' } : {}) });
  const cases = suite.words.map((word) => {
    const requests = names(machine, word);
    const title = `complete for ${extraStates} extra states: ${requests.join(', ')}`;
    const steps = lowerRequests(capabilities, requests, { status });
    return makeCase('m-complete', `${extraStates}/${requests.join('>')}`, title, steps);
  });
  return {
    cases,
    guarantee: guaranteeOf(machine, suite, options),
    indistinguishable: suite.indistinguishable.map((states) => [...states]),
  };
}

const names = ({ inputs }: Mealy, word: Word): Request[] => word.map((input) => inputs[input] as Request);

/** A machine that does not have an input. */
function without(machine: Mealy, name: string): Mealy {
  const width = machine.inputs.length;
  const gone = machine.inputs.indexOf(name);
  const kept = (_: number, at: number) => at % width !== gone;
  return {
    ...machine,
    inputs: machine.inputs.filter((input) => input !== name),
    next: machine.next.filter(kept),
    output: machine.output.filter(kept),
  };
}

function guaranteeOf(
  machine: Mealy,
  { model, stateCover, indistinguishable }: CompleteSuite,
  { extraStates: k, status, reset = true }: MCompleteOptions,
): string {
  const n = model.machine.states.length;
  const requests = `SET of MIG_DEVICE_STATE${reset ? ' and VFIO_DEVICE_RESET' : ''}`;
  const seen = `${ANSWERS.join(', ')}${status ? ', and the state by GET after each request' : '; no GET'}`;
  const cover = stateCover
    .filter((word) => word.length > 0)
    .map((word) => names(machine, word).join(' then '))
    .join(', ');
  const sentences = [
    `Over ${requests} (seen: ${seen}) a device that passes answers every sequence of requests as the model does, if it has at most ${n + k} states: the ${n} of the model${k > 0 ? ` and ${k} hidden` : ''}.`,
    `So does one with any number of states, each of which is reached from RUNNING by nothing or by ${cover}, and ${k === 0 ? 'no request more' : `at most ${plural(k, 'request')} more`}.`,
    `It has to hold that the device is deterministic, that it is brought to the same RUNNING before each case,${status ? ' that GET tells the state and changes nothing,' : ''} and that the device's own stream, written before RESUMING is left, is a load that works.`,
    'A request for the state that the device is in may fail: that is no fault.',
  ];
  if (indistinguishable.length > 0)
    sentences.push(
      `What is seen does not tell apart ${indistinguishable.map((states) => states.join(', ')).join('; nor ')}: a device that takes one of these for another passes.`,
    );
  return sentences.join(' ');
}
