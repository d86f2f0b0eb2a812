import type { Mealy, Word } from './mealy.js';

/**
 * A machine with what is seen of it. The status message is an input that answers with the state, or with a
 * part of it, and changes nothing: it is asked after every other input, and words leave it out.
 */
export interface Observed {
  readonly machine: Mealy;
  /** The inputs that words are made of: all but the status message. */
  readonly inputs: readonly number[];
  /** The status message, or null. */
  readonly status: number | null;
  /** What the status message answers in each state; 0 everywhere without one. */
  readonly label: Int16Array;
}

/**
 * @param status the name of the input that is a status message; none when left out
 * @throws RangeError when there is no such input, or when it changes a state
 */
export function observed(machine: Mealy, status?: string): Observed {
  const { inputs, states, next, output } = machine;
  const label = new Int16Array(states.length);
  const all = inputs.map((_, input) => input);
  if (status === undefined) return { machine, inputs: all, status: null, label };
  const message = inputs.indexOf(status);
  if (message < 0) throw new RangeError(`${machine.name}: no input is called ${status}`);
  for (const [state, name] of states.entries()) {
    const at = state * inputs.length + message;
    if (next[at] !== state)
      throw new RangeError(
        `${machine.name}: ${status} changes the state ${name}, so it is no status message`,
      );
    label[state] = output[at]!;
  }
  return { machine, inputs: all.filter((input) => input !== message), status: message, label };
}

/** Which states differ in what is seen of them. */
export interface Distinction {
  /** Number of the class of each state; equal for states that no word tells apart. */
  readonly classOf: Int16Array;
  /** The states of each class, in their order. */
  readonly classes: readonly (readonly number[])[];
  /**
   * A shortest word whose answers differ from the two states: the empty one where the status message alone
   * tells them apart, null where nothing does.
   */
  separating(a: number, b: number): Word | null;
}

/** Tells states apart by refining a partition, round by round: after round r, by words of r inputs. */
export function distinguish(watched: Observed): Distinction {
  const { machine, inputs, label } = watched;
  const rounds = [numbered(Array.from(label, String))];
  for (;;) {
    const last = rounds.at(-1)!;
    const round = numbered(machine.states.map((_, state) => stateKey(watched, state, last.of)));
    if (round.count === last.count) break;
    rounds.push(round);
  }
  const { of: classOf, count } = rounds.at(-1)!;
  const classes = Array.from({ length: count }, (): number[] => []);
  for (const [state, number] of classOf.entries()) classes[number]!.push(state);

  function separating(a: number, b: number): Word | null {
    let round = rounds.findIndex(({ of }) => of[a] !== of[b]);
    if (round < 0) return null;
    const word: number[] = [];
    for (let [left, right] = [a, b]; round > 0; round--) {
      const { of } = rounds[round - 1]!;
      const place = (state: number, input: number) => state * machine.inputs.length + input;
      const answersDiffer = (input: number) =>
        machine.output[place(left, input)] !== machine.output[place(right, input)];
      const input = inputs.find(
        (each) =>
          answersDiffer(each) ||
          of[machine.next[place(left, each)]!] !== of[machine.next[place(right, each)]!],
      )!;
      word.push(input);
      if (answersDiffer(input)) break;
      [left, right] = [machine.next[place(left, input)]!, machine.next[place(right, input)]!];
    }
    return word;
  }
  return { classOf, classes, separating };
}

/** What a state shows within one more input: its class, and for each input the answer and the class after. */
function stateKey({ machine, inputs }: Observed, state: number, classOf: Int16Array): string {
  const parts = [classOf[state]!];
  for (const input of inputs) {
    const at = state * machine.inputs.length + input;
    parts.push(machine.output[at]!, classOf[machine.next[at]!]!);
  }
  return parts.join();
}

/** Numbers for keys, in the order in which they come. */
function numbered(keys: readonly string[]): { of: Int16Array; count: number } {
  const numbers = new Map<string, number>();
  const of = Int16Array.from(keys, (key) => {
    if (!numbers.has(key)) numbers.set(key, numbers.size);
    return numbers.get(key)!;
  });
  return { of, count: numbers.size };
}

/** Whether every state differs from every other in what is seen of it. */
export function isMinimal(watched: Observed): boolean {
  return distinguish(watched).classes.length === watched.machine.states.length;
}

/** A reduced machine, and the states of the first one that each of its states stands for. */
export interface Reduced {
  readonly watched: Observed;
  readonly members: readonly (readonly number[])[];
}

/**
 * The smallest machine that looks the same: states that cannot be reached are left out, and of states that
 * cannot be told apart there is one. Inputs and outputs keep their numbers.
 */
export function reduced(watched: Observed): Reduced {
  const { machine } = watched;
  const { classOf, classes } = distinguish(watched);
  const width = machine.inputs.length;
  const order = [classOf[0]!];
  const next: number[] = [];
  const output: number[] = [];
  for (const number of order) {
    const row = classes[number]![0]! * width;
    for (let input = 0; input < width; input++) {
      const to = classOf[machine.next[row + input]!]!;
      if (!order.includes(to)) order.push(to);
      next.push(order.indexOf(to));
      output.push(machine.output[row + input]!);
    }
  }
  const members = order.map((number) => classes[number]!);
  const smaller: Mealy = {
    ...machine,
    states: members.map((states) => states.map((state) => machine.states[state]).join(' | ')),
    next: Int16Array.from(next),
    output: Int16Array.from(output),
  };
  const { status } = watched;
  return { watched: observed(smaller, status === null ? undefined : machine.inputs[status]), members };
}

/** All that is seen of a word from a state: its answers, and the status before and after each input. */
export function responses({ machine, label }: Observed, state: number, word: Word): number[] {
  const seen = [label[state]!];
  let at = state;
  for (const input of word) {
    const index = at * machine.inputs.length + input;
    at = machine.next[index]!;
    seen.push(machine.output[index]!, label[at]!);
  }
  return seen;
}

/** How many inputs of a word tell two states apart; -1 when all of it does not. */
export function separatesAfter(watched: Observed, word: Word, a: number, b: number): number {
  const [left, right] = [responses(watched, a, word), responses(watched, b, word)];
  const at = left.findIndex((seen, index) => seen !== right[index]);
  return at < 0 ? -1 : Math.ceil(at / 2);
}

/**
 * A characterizing set W: words that together tell apart all states that can be told apart. Chosen
 * greedily from the shortest separating words. One empty word when the status message does it alone.
 */
export function characterizingSet(watched: Observed, distinction = distinguish(watched)): Word[] {
  const { classes, separating } = distinction;
  const states = classes.map(([first]) => first!);
  const candidates = new Map<string, Word>([['', []]]);
  for (const [index, a] of states.entries()) {
    for (const b of states.slice(index + 1)) {
      const word = separating(a, b)!;
      candidates.set(word.join(), word);
    }
  }
  const words = [...candidates.values()].sort((a, b) => a.length - b.length);
  const chosen: Word[] = [];
  let blocks = numbered(states.map(() => ''));
  do {
    const refined = words.map((word) =>
      numbered(states.map((state, index) => `${blocks.of[index]} ${responses(watched, state, word)}`)),
    );
    const most = Math.max(...refined.map(({ count }) => count));
    const best = refined.findIndex(({ count }) => count === most);
    chosen.push(words[best]!);
    blocks = refined[best]!;
  } while (blocks.count < states.length);
  return chosen;
}
