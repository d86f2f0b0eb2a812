import type { Mealy } from '../../automaton/index.js';
import { CAPABILITY_SETS, type CapabilitySet, capabilitiesOfFlags } from '../../machines/index.js';
import { plural } from '../../text/words.js';
import type { EventKind, TraceEvent } from '../../trace/event.js';
import { type Alphabet, inputNames, recordedAlphabet, STATUS_INPUT } from '../alphabet.js';
import { protocolExpectation } from '../protocol.js';
import { type Learned, NOT_ASKED } from '../result.js';
import { numbered } from '../state-names.js';
import { recordedDifferences, type SeenDifference } from './compare.js';
import { DeviceRecorder, RECORDED_KINDS } from './device-recorder.js';
import { type Merged, mergeStates } from './merge.js';
import { PrefixTree } from './prefix-tree.js';
import type { RecordedCall, RecordedWord } from './recorded.js';

/** Most events that are learned from: what they make is held in memory. */
const MOST_EVENTS = 300_000;
/** Most devices whose calls are kept apart. */
const MOST_DEVICES = 10_000;

/** Collects what traces show of devices; events of all hosts go in, in their order. */
export class PassiveLearner {
  /** The kinds of event that are learned from. */
  static readonly wants: ReadonlySet<EventKind> = new Set(RECORDED_KINDS);
  readonly #recorders = new Map<string, DeviceRecorder>();
  #taken = 0;
  #left = 0;

  /** @param device only devices whose `device` or `host/device` is this */
  constructor(readonly device?: string) {}

  take(event: TraceEvent): void {
    if (!PassiveLearner.wants.has(event.kind) || !('device' in event)) return;
    const name = `${event.host}/${event.device}`;
    if (this.device !== undefined && this.device !== event.device && this.device !== name) return;
    const known = this.#recorders.get(name);
    if (this.#taken >= MOST_EVENTS || (known === undefined && this.#recorders.size >= MOST_DEVICES)) {
      this.#left++;
      return;
    }
    this.#taken++;
    const recorder = known ?? new DeviceRecorder(name);
    if (known === undefined) this.#recorders.set(name, recorder);
    recorder.take(event);
  }

  /**
   * What was learned: the devices are taken as several of one kind.
   * @param name what the report calls them
   */
  end(name: string): Recorded {
    const all = [...this.#recorders.values()].flatMap((recorder) => recorder.end());
    const words = withoutUnknownLogs(all);
    const calls = words.reduce((sum, word) => sum + word.calls.length, 0);
    const alphabet = recordedAlphabet(
      words.flatMap((word) => word.calls.map(({ input, call }) => [input, call] as const)),
    );
    const tree = new PrefixTree();
    const before = words.map((word) => tree.add(word));
    const merged = mergeStates(tree);
    const machine = machineOf(name, merged, alphabet);
    const recorders = [...this.#recorders.values()];
    return new Recorded(words, recorders, alphabet, before, merged, {
      target: name,
      machine,
      inputs: machine.inputs,
      requests: calls,
      resets: words.filter(({ opened }) => opened).length,
      words: words.length,
      guarantee: guaranteeOf(machine),
      complete: false,
      reason: 'recorded',
      nondeterminism: tree.nondeterminism,
      notes: [
        ...this.#notes(words, all, tree.conflicts),
        ...(merged.complete
          ? []
          : [`the machine has more than ${merged.states.length} states; these are shown`]),
      ],
    });
  }

  #notes(words: readonly RecordedWord[], all: readonly RecordedWord[], conflicts: number): string[] {
    const devices = [...new Set(words.map(({ device }) => device))];
    const recorders = [...this.#recorders.values()];
    const unanswered = recorders.reduce((sum, each) => sum + each.unanswered, 0);
    const onOldFds = recorders.reduce((sum, each) => sum + each.onOldFds, 0);
    const few = devices.slice(0, 8).join(', ') + (devices.length > 8 ? ', ...' : '');
    return [
      ...(devices.length > 1 ? [`calls of ${devices.length} devices are taken as one's: ${few}`] : []),
      ...(all.length > words.length || all.some((each, at) => each.calls.length !== words[at]?.calls.length)
        ? ['calls of DMA logging were left out where the trace does not show whether it was on']
        : []),
      ...(onOldFds > 0 ? [`${plural(onOldFds, 'call')} to a data_fd that is not the device's any more`] : []),
      ...(unanswered > 0 ? [`${plural(unanswered, 'call')} without an answer in the trace`] : []),
      ...(conflicts > 0 ? [`${plural(conflicts, 'answer')} that contradicted another one`] : []),
      ...(this.#left > 0
        ? [`only the first ${this.#taken} events were learned from; ${this.#left} were left out`]
        : []),
    ];
  }
}

/** What was learned from traces. */
export class Recorded {
  constructor(
    readonly words: readonly RecordedWord[],
    readonly recorders: readonly DeviceRecorder[],
    readonly alphabet: Alphabet,
    readonly before: readonly (readonly number[])[],
    readonly merged: Merged,
    readonly learned: Learned,
  ) {}

  /**
   * How what was seen differs from the protocol.
   * @param given the capabilities of the device; without, those that the trace tells, or else those that fit best
   */
  compare(given: CapabilitySet | null): { caps: CapabilitySet; seen: readonly SeenDifference[] } {
    const flags = this.recorders.find((each) => each.flags !== undefined)?.flags;
    const told = given ?? (flags === undefined ? null : capabilitiesOfFlags(flags));
    const tried = told === null ? [...CAPABILITY_SETS].reverse() : [told];
    const results = tried.map((caps) => ({
      caps,
      seen: recordedDifferences(this.words, protocolExpectation(caps, this.alphabet)),
    }));
    return results.reduce((best, each) => (each.seen.length < best.seen.length ? each : best));
  }

  /** The transition of the machine that a call is, as its place in the tables; -1 when it is none. */
  placeOf(call: RecordedCall): number {
    const { inputs } = this.learned.machine;
    for (const [at, word] of this.words.entries()) {
      const index = word.calls.indexOf(call);
      if (index < 0) continue;
      const state = this.before[at]![index]!;
      const machine = this.merged.stateOf[state];
      return machine === undefined ? -1 : machine * inputs.length + inputs.indexOf(call.input);
    }
    return -1;
  }
}

/** Without DMA logging in words that do not begin where a device was opened: whether it was on is not known. */
function withoutUnknownLogs(words: readonly RecordedWord[]): RecordedWord[] {
  return words.flatMap((word) => {
    if (word.opened) return [word];
    const calls = word.calls.filter(({ call }) => !call.do.startsWith('log_'));
    return calls.length > 0 ? [{ ...word, calls }] : [];
  });
}

function machineOf(name: string, { states }: Merged, alphabet: Alphabet): Mealy {
  const outputs = [NOT_ASKED];
  const numberOf = (output: string): number => {
    const known = outputs.indexOf(output);
    return known >= 0 ? known : outputs.push(output) - 1;
  };
  const inputs = inputNames(alphabet);
  const next: number[] = [];
  const output: number[] = [];
  for (const [state, { told, arcs }] of states.entries())
    for (const input of inputs) {
      const arc = arcs.get(input);
      next.push(arc?.to ?? state);
      output.push(numberOf(input === STATUS_INPUT ? (told ?? NOT_ASKED) : (arc?.output ?? NOT_ASKED)));
    }
  return {
    name,
    states: numbered(states.map(({ told }) => told ?? '?')),
    inputs,
    outputs,
    next: Int16Array.from(next),
    output: Int16Array.from(output),
  };
}

function guaranteeOf({ states, inputs, outputs, output }: Mealy): string {
  const asked = inputs.length - 1;
  let seen = 0;
  for (let at = 0; at < output.length; at++)
    if (outputs[output[at]!] !== NOT_ASKED && at % inputs.length < asked) seen++;
  return `${seen} of ${states.length * asked} transitions were seen; nothing is known of the others`;
}
