import { hasSession } from '../../machines/index.js';
import { ERRNO } from '../../uapi/errno.js';
import { asksFd, OUTPUTS } from '../alphabet.js';
import { answerText, type Difference } from '../difference.js';
import type { Expectation } from '../protocol.js';
import type { RecordedCall, RecordedWord } from './recorded.js';

/** A difference, and the call that shows it first. */
export interface SeenDifference {
  readonly difference: Difference;
  readonly call: RecordedCall;
}

/**
 * What recorded words hold that the protocol does not allow: each answer is compared where the trace tells what
 * the device was in before. Behind a difference it goes on where the state is known again. Nothing is concluded
 * from merged states, so what is told was seen.
 */
export function recordedDifferences(
  words: readonly RecordedWord[],
  expectation: Expectation,
): SeenDifference[] {
  const found = new Map<string, SeenDifference>();
  for (const word of words)
    for (const seen of new Walk(word, expectation).differences()) {
      const { from, input, actual } = seen.difference;
      const key = `${from}|${input}|${actual}`;
      const known = found.get(key);
      if (known === undefined || known.difference.word.length > seen.difference.word.length)
        found.set(key, seen);
    }
  return [...found.values()];
}

function locationOf({ place: { file, line } }: RecordedCall): { location?: string } {
  if (file === null) return {};
  return { location: line === null ? file : `${file}:${line}` };
}

class Walk {
  /** Null: not known. */
  #state: number | null;
  /** Whether the trace tells if DMA logging is on. */
  #knowsLog: boolean;
  /** Calls since the state became known. */
  #since: string[] = [];

  constructor(
    readonly word: RecordedWord,
    readonly expectation: Expectation,
  ) {
    const begins = word.begins ?? (word.opened ? 'RUNNING' : null);
    this.#knowsLog = word.opened;
    this.#state = begins === 'RUNNING' ? expectation.initial : null;
  }

  *differences(): Generator<SeenDifference> {
    for (const call of this.word.calls) {
      if (this.#state === null) this.#meet(call);
      else if (call.call.do.startsWith('log_') && !this.#knowsLog) continue;
      else yield* this.#step(call, this.#state);
    }
  }

  /** The state is known again after a request that leaves nothing open. */
  #meet({ input, output, state, call }: RecordedCall): void {
    this.#since = [];
    if (call.do === 'reset' && output === OUTPUTS.ok && (state ?? 'RUNNING') === 'RUNNING')
      this.#state = this.expectation.initial;
    if (call.do !== 'set' || state === null || state !== call.state) return;
    const opens = output === OUTPUTS.dataFd && hasSession(state);
    const plain = (output === OUTPUTS.ok || output === OUTPUTS.success) && !hasSession(state);
    if (!opens && !plain) return;
    const { initial } = this.expectation;
    this.#state =
      state === 'RUNNING'
        ? initial
        : this.expectation.follow(initial, input, opens ? OUTPUTS.dataFd : OUTPUTS.ok, state);
    this.#since = [input];
  }

  *#step(call: RecordedCall, at: number): Generator<SeenDifference> {
    const { input, output, state } = call;
    this.#since.push(input);
    const answer = this.#readings(call).find((each) =>
      this.expectation.accepts(at, input, each, each === OUTPUTS.noDataFd ? null : state),
    );
    if (answer !== undefined) {
      this.#state = this.expectation.follow(at, input, answer, state);
      return;
    }
    const allowed = this.expectation.allowed(at, input);
    yield {
      call,
      difference: {
        from: this.expectation.describe(at),
        input,
        expected: [...new Set(allowed.map((each) => answerText(each.output, each.status)))],
        actual: answerText(output, state),
        word: this.#since,
        ...locationOf(call),
      },
    };
    this.#state = null;
    this.#knowsLog = false;
    this.#meet(call);
  }

  /** What an answer may have been: a log may not show a data_fd, and a call may go to one that is older. */
  #readings({ call, output }: RecordedCall): string[] {
    if (output === OUTPUTS.success) return [OUTPUTS.ok, OUTPUTS.dataFd];
    const refused = call.do === 'close' || ERRNO[output] !== undefined;
    return refused && asksFd(call) ? [output, OUTPUTS.noDataFd] : [output];
  }
}
