import type { Mealy } from '../automaton/index.js';
import { STATUS_INPUT } from './alphabet.js';
import type { Expectation } from './protocol.js';
import { NOT_ASKED } from './result.js';

/** A transition of a learned machine that the protocol does not allow. */
export interface Difference {
  /** The state, as the protocol describes it. */
  readonly from: string;
  readonly input: string;
  /** What the protocol allows, the likeliest answer first, such as `data_fd, now STOP_COPY`. */
  readonly expected: readonly string[];
  readonly actual: string;
  /** A shortest word that shows it, its last input among them; of traces: the calls since the state was known. */
  readonly word: readonly string[];
  /** Of traces: the file and line that show it. */
  readonly location?: string;
}

/** A state of the learned machine beside one of the protocol, and how it was reached. */
interface Pair {
  readonly learned: number;
  readonly wanted: number;
  readonly word: readonly string[];
}

/**
 * Walks a learned machine beside the protocol, from where words begin, along what the protocol allows. Each
 * transition that it does not allow is told once, and the walk does not go on behind it: so one wrong arc is
 * one difference, not all that follows from it. What was not asked is not compared.
 */
export function differences(machine: Mealy, expectation: Expectation): Difference[] {
  const found = new Map<string, Difference>();
  const width = machine.inputs.length;
  const get = machine.inputs.indexOf(STATUS_INPUT);
  const status = (state: number): string | null =>
    get < 0 ? null : machine.outputs[machine.output[state * width + get]!]!;
  const pairs: Pair[] = [{ learned: 0, wanted: expectation.initial, word: [] }];
  const seen = new Set([`0 ${expectation.initial}`]);
  for (const { learned, wanted, word } of pairs) {
    for (const [index, input] of machine.inputs.entries()) {
      const place = learned * width + index;
      const output = machine.outputs[machine.output[place]!]!;
      if (index === get || output === NOT_ASKED) continue;
      const to = machine.next[place]!;
      const now = status(to);
      const here = [...word, input];
      if (!expectation.accepts(wanted, input, output, now)) {
        const difference: Difference = {
          from: expectation.describe(wanted),
          input,
          expected: [
            ...new Set(
              expectation.allowed(wanted, input).map((each) => answerText(each.output, each.status)),
            ),
          ],
          actual: answerText(output, now),
          word: here,
        };
        const key = `${difference.from}|${input}|${difference.actual}`;
        if (!found.has(key)) found.set(key, difference);
        continue;
      }
      const next = expectation.follow(wanted, input, output, now);
      const key = `${to} ${next}`;
      if (seen.has(key)) continue;
      seen.add(key);
      pairs.push({ learned: to, wanted: next, word: here });
    }
  }
  return [...found.values()];
}

/** An answer in words: its output, and the state that GET says then. */
export function answerText(output: string, status: string | null): string {
  return status === null ? output : `${output}, now ${status}`;
}
