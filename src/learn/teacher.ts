import type { Mealy } from '../automaton/index.js';

/** Where a device is, as whoever asks sees it. */
export interface Situation {
  /** What the status input answers; null where there is none, or it was not asked. */
  readonly status: string | null;
  /**
   * Inputs that would not reach the device here, with the outputs that stand for that: they change nothing, and
   * are not asked for.
   */
  readonly idle: ReadonlyMap<number, string>;
  /** The device is as after a fresh start, by what a fresh start is: to go on from here is to begin. */
  readonly isFresh: boolean;
}

/** What came of an input. */
export interface Answer extends Situation {
  readonly output: string;
}

/** A device that words are put to, input by input. */
export interface Teacher {
  /** As the user named it. */
  readonly name: string;
  /** Names of the inputs of words. */
  readonly inputs: readonly string[];
  /** Name of the status input, or null. It changes nothing, and answers with a part of the state. */
  readonly status: string | null;
  /** Calls so far. */
  readonly requests: number;
  /** Fresh starts so far. */
  readonly resets: number;
  /** What has to be known of how the device was asked. */
  readonly notes: readonly string[];
  /** A fresh start: a word begins. @throws LostError when the device does not come back */
  begin(): Promise<Situation>;
  /** The next input of the word. @param asksStatus whether the status is wanted too */
  step(input: number, asksStatus: boolean): Promise<Answer>;
}

/** The device does not come back to where words begin: there is nothing more to learn of it. */
export class LostError extends Error {
  override readonly name = 'LostError';
}

const NOTHING: ReadonlyMap<number, string> = new Map();

/**
 * A teacher that answers as a machine does.
 * @param status name of its status input; none when left out
 */
export class MachineTeacher implements Teacher {
  readonly name: string;
  readonly inputs: readonly string[];
  readonly status: string | null;
  readonly notes: readonly string[] = [];
  requests = 0;
  resets = 0;
  readonly #machine: Mealy;
  /** The number of each input in the machine. */
  readonly #numbers: readonly number[];
  #state = 0;

  constructor(machine: Mealy, status?: string) {
    const all = machine.inputs.map((_, input) => input);
    this.#machine = machine;
    this.name = machine.name;
    this.status = status ?? null;
    this.#numbers = all.filter((input) => machine.inputs[input] !== status);
    this.inputs = this.#numbers.map((input) => machine.inputs[input]!);
  }

  async begin(): Promise<Situation> {
    this.resets++;
    this.requests++;
    this.#state = 0;
    return this.#situation(true);
  }

  async step(input: number, asksStatus: boolean): Promise<Answer> {
    const { inputs, next } = this.#machine;
    const number = this.#numbers[input]!;
    const output = this.answer(this.#state, number);
    this.requests++;
    this.#state = next[this.#state * inputs.length + number]!;
    return { output, ...this.#situation(asksStatus) };
  }

  /** The output for an input in a state of the machine. */
  protected answer(state: number, input: number): string {
    const { inputs, outputs, output } = this.#machine;
    return outputs[output[state * inputs.length + input]!]!;
  }

  #situation(asksStatus: boolean): Situation {
    let status: string | null = null;
    if (this.status !== null && asksStatus) {
      this.requests++;
      status = this.answer(this.#state, this.#machine.inputs.indexOf(this.status));
    }
    return { status, idle: NOTHING, isFresh: false };
  }
}
