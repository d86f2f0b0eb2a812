import type { MigState } from '../../uapi/vfio.js';
import { OUTPUTS } from '../alphabet.js';
import { answerText } from '../difference.js';
import type { Nondeterminism } from '../result.js';
import type { RecordedCall, RecordedWord } from './recorded.js';

/** A transition of the tree, or of the machine that is made of it. */
export interface Arc {
  readonly output: string;
  readonly to: number;
}

/** A state of the tree: the one after a beginning of a word. */
export interface TreeState {
  /** What the device said that its state is; null where it was not asked. */
  readonly told: MigState | null;
  readonly arcs: Map<string, Arc>;
}

/**
 * The prefix tree of recorded words. State 0 is RUNNING, that of a device which was just opened; words that begin
 * elsewhere have roots of their own.
 */
export class PrefixTree {
  readonly states: TreeState[] = [{ told: 'RUNNING', arcs: new Map() }];
  readonly roots: number[] = [0];
  /** Where a beginning was answered in different ways: the first time, and how often. */
  nondeterminism: Nondeterminism | null = null;
  conflicts = 0;

  /** Adds a word. Returns for each call the tree's state before it; -1 for calls that contradict the tree. */
  add(word: RecordedWord): number[] {
    const before: number[] = [];
    const begins = word.begins ?? (word.opened ? 'RUNNING' : null);
    let at = begins === 'RUNNING' ? 0 : this.#root(begins);
    let from = 0;
    for (const [index, call] of word.calls.entries()) {
      const to = this.#step(at, call);
      before.push(to === null ? -1 : at);
      if (to === null) this.#conflict(word.calls.slice(from, index + 1), at);
      if (to === null) from = index + 1;
      at = to ?? this.#root(call.state);
    }
    return before;
  }

  #root(told: MigState | null): number {
    const root = this.#state(told);
    this.roots.push(root);
    return root;
  }

  #state(told: MigState | null): number {
    return this.states.push({ told, arcs: new Map() }) - 1;
  }

  /** The state after a call; null when the tree has another answer. */
  #step(at: number, call: RecordedCall): number | null {
    const { input, output } = call;
    const { arcs, told: before } = this.states[at]!;
    const known = arcs.get(input);
    const told = toldBy(call, before);
    if (known === undefined) {
      const to = this.#state(told);
      arcs.set(input, { output, to });
      return to;
    }
    const joined = joinOutputs(known.output, output);
    const there = this.states[known.to]!;
    if (joined === null || (told !== null && there.told !== null && told !== there.told)) return null;
    arcs.set(input, { output: joined, to: known.to });
    if (there.told === null) this.states[known.to] = { told, arcs: there.arcs };
    return known.to;
  }

  #conflict(calls: readonly RecordedCall[], at: number): void {
    this.conflicts++;
    if (this.nondeterminism !== null) return;
    const last = calls.at(-1)!;
    const known = this.states[at]!.arcs.get(last.input)!;
    this.nondeterminism = {
      word: calls.map(({ input }) => input),
      answers: [
        [answerText(known.output, this.states[known.to]!.told)],
        [answerText(last.output, last.state)],
      ],
    };
  }
}

/** The state after a call: only requests and resets change it, and one that fails may leave the device anywhere. */
function toldBy({ state, call, output }: RecordedCall, before: MigState | null): MigState | null {
  if (state !== null) return state;
  if (call.do === 'reset') return output === OUTPUTS.ok ? 'RUNNING' : null;
  return call.do === 'set' ? null : before;
}

/** One output of two, where a trace that does not show a data_fd tells less; null when they contradict each other. */
export function joinOutputs(one: string, other: string): string | null {
  if (one === other) return one;
  const gives = (output: string): boolean => output === OUTPUTS.ok || output === OUTPUTS.dataFd;
  if (one === OUTPUTS.success && gives(other)) return other;
  if (other === OUTPUTS.success && gives(one)) return one;
  return null;
}
