import type { Observed } from './distinguish.js';
import type { Mealy, Word } from './mealy.js';
import { treeOf } from './word-tree.js';

/**
 * Words with the answers of the model, laid out to be run by many machines: as a tree in tables, so that a
 * common beginning is run once. With a status message it is asked before the first and after each input.
 */
export class Examiner {
  readonly #status: number | null;
  readonly #input: Int16Array;
  readonly #depth: Int16Array;
  readonly #output: Int16Array;
  /** What the status message is to answer behind each node. */
  readonly #label: Int16Array;
  readonly #first: number;
  /** The state of the machine under examination at each depth. */
  readonly #states: Int32Array;

  constructor(model: Observed, words: Iterable<Word>) {
    const { machine, label } = model;
    const nodes = [...treeOf(words).nodes()];
    this.#status = model.status;
    this.#first = label[0]!;
    this.#input = Int16Array.from(nodes, ({ input }) => input);
    this.#depth = Int16Array.from(nodes, ({ depth }) => depth);
    this.#output = new Int16Array(nodes.length);
    this.#label = new Int16Array(nodes.length);
    this.#states = new Int32Array(1 + this.#depth.reduce((most, depth) => Math.max(most, depth), 0));
    for (const [node, { input, depth }] of nodes.entries()) {
      const at = this.#states[depth - 1]! * machine.inputs.length + input;
      this.#output[node] = machine.output[at]!;
      this.#states[depth] = machine.next[at]!;
      this.#label[node] = label[machine.next[at]!]!;
    }
  }

  /** Whether a machine answers all words as the model does. It has the model's inputs and outputs. */
  passes({ inputs, next, output }: Mealy): boolean {
    const width = inputs.length;
    const status = this.#status;
    const states = this.#states;
    if (status !== null && output[status] !== this.#first) return false;
    states[0] = 0;
    for (let node = 0; node < this.#input.length; node++) {
      const depth = this.#depth[node]!;
      const at = states[depth - 1]! * width + this.#input[node]!;
      if (output[at] !== this.#output[node]) return false;
      const to = next[at]!;
      if (status !== null && output[to * width + status] !== this.#label[node]) return false;
      states[depth] = to;
    }
    return true;
  }
}
