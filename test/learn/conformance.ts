import type { Mealy } from '../../src/automaton/index.js';
import { drawFrom } from '../../src/automaton/index.js';
import { type Expectation, OUTPUTS, STATUS_INPUT, type Teacher } from '../../src/learn/index.js';

/** What a state of a machine answers to an input: the output, what GET says then, and the state after. */
export function answerOf(machine: Mealy, state: number, input: number) {
  const { inputs, outputs, next, output } = machine;
  const to = next[state * inputs.length + input]!;
  const status = inputs.indexOf(STATUS_INPUT);
  return {
    output: outputs[output[state * inputs.length + input]!]!,
    status: status < 0 ? null : outputs[output[to * inputs.length + status]!]!,
    to,
  };
}

/**
 * Where a machine answers what an expectation does not allow, `state input: answer`, by a walk of their product
 * that does not go on behind a difference.
 */
export function differencesFrom(machine: Mealy, expectation: Expectation): string[] {
  const found = new Set<string>();
  const seen = new Set([`0 ${expectation.initial}`]);
  const pairs = [{ state: 0, expected: expectation.initial }];
  for (const { state, expected } of pairs) {
    for (const [input, name] of machine.inputs.entries()) {
      if (name === STATUS_INPUT) continue;
      const { output, status, to } = answerOf(machine, state, input);
      if (!expectation.accepts(expected, name, output, status)) {
        const is = status === null ? output : `${output} (${status})`;
        found.add(`${machine.states[state]!.replace(/#.*/, '')} ${name}: ${is}`);
        continue;
      }
      const after = { state: to, expected: expectation.follow(expected, name, output, status) };
      const key = `${after.state} ${after.expected}`;
      if (seen.has(key)) continue;
      seen.add(key);
      pairs.push(after);
    }
  }
  return [...found];
}

/** Puts long random words to a device. Returns one that it answers otherwise than a machine, or null. */
export async function wrongWord(
  machine: Mealy,
  teacher: Teacher,
  { words, length, seed }: { words: number; length: number; seed: number },
): Promise<string[] | null> {
  const draw = drawFrom(seed);
  for (let count = 0; count < words; count++) {
    await teacher.begin();
    const word: string[] = [];
    for (let at = 0, state = 0; at < length; at++) {
      const input = draw(teacher.inputs.length);
      const expected = answerOf(machine, state, input);
      if (expected.output === OUTPUTS.noDataFd) continue;
      word.push(teacher.inputs[input]!);
      const { output, status } = await teacher.step(input, true);
      if (output !== expected.output || status !== expected.status) return [...word, output, String(status)];
      state = expected.to;
    }
  }
  return null;
}
