import type { Mealy, Word } from '../automaton/index.js';
import { type ObservationTree, type TreeNode, witness } from './observation-tree.js';
import { NOT_ASKED } from './result.js';
import { numbered } from './state-names.js';
import type { Teacher } from './teacher.js';

/** A node behind a state, and the states that it may be. */
export interface Frontier {
  readonly node: TreeNode;
  /** None of them is apart from it so far. */
  candidates: readonly TreeNode[];
  /** Version of the tree when they were looked at. */
  version: number;
}

/** A state, and an input that it was not asked for. */
export interface Gap {
  readonly state: TreeNode;
  readonly input: number;
}

/**
 * The states that were found: nodes of the tree that are all apart from each other (the basis), and the nodes
 * right behind them (the frontier), each of which is to be one of the states.
 */
export class Basis {
  readonly states: TreeNode[] = [];
  readonly #isState = new Set<TreeNode>();
  readonly #frontier = new Map<TreeNode, Frontier>();
  readonly #tree: ObservationTree;
  readonly #inputs: number;

  constructor(tree: ObservationTree, inputs: number) {
    this.#tree = tree;
    this.#inputs = inputs;
    this.#add(tree.root);
  }

  has(node: TreeNode): boolean {
    return this.#isState.has(node);
  }

  #add(node: TreeNode): void {
    this.states.push(node);
    this.#isState.add(node);
    this.#frontier.delete(node);
    for (const each of this.#frontier.values())
      if (witness(each.node, node) === null) each.candidates = [...each.candidates, node];
  }

  /**
   * Brings the frontier up to date; nodes that are apart from all states become states.
   * @param all look at nodes too below which nothing was added: what was added below a state may tell more of them
   */
  update(all = false): void {
    if (all) for (const entry of this.#frontier.values()) entry.version = -1;
    for (;;) {
      const lone = this.frontier().find(({ candidates }) => candidates.length === 0);
      if (lone === undefined) return;
      this.#add(lone.node);
    }
  }

  /** The frontier with its candidates, those of the first states first. */
  frontier(): Frontier[] {
    const found: Frontier[] = [];
    for (const state of this.states) {
      for (let input = 0; input < this.#inputs; input++) {
        const node = state.next[input];
        if (node !== undefined && !this.has(node)) found.push(this.#entry(node));
      }
    }
    return found;
  }

  #entry(node: TreeNode): Frontier {
    const entry = this.#frontier.get(node) ?? { node, candidates: this.states, version: -1 };
    if (node.version <= entry.version) return entry;
    entry.candidates = entry.candidates.filter((state) => witness(node, state) === null);
    entry.version = this.#tree.version;
    this.#frontier.set(node, entry);
    return entry;
  }

  /** A node of the frontier that may be several states still, by all that is known; null when there is none. */
  open(): Frontier | null {
    for (const { node, candidates } of this.frontier()) {
      if (candidates.length < 2) continue;
      this.#frontier.get(node)!.version = -1;
      const entry = this.#entry(node);
      if (entry.candidates.length !== 1) return entry;
    }
    return null;
  }

  /** The first gap, or null. */
  gap(): Gap | null {
    for (const state of this.states)
      for (let input = 0; input < this.#inputs; input++)
        if (state.next[input] === undefined) return { state, input };
    return null;
  }

  /** The hypothesis; where something was not asked, it answers `NOT_ASKED`. */
  hypothesis(): Hypothesis {
    const of = new Map(this.frontier().map(({ node, candidates }) => [node, candidates[0]!]));
    const targets = this.states.map((state) =>
      Array.from({ length: this.#inputs }, (_, input) => {
        const to = state.next[input] ?? state;
        return this.states.indexOf(this.has(to) ? to : of.get(to)!);
      }),
    );
    return new Hypothesis([...this.states], targets);
  }
}

/** The name of an input that no device has: a look at the state. */
export const SIGHT = ' sight';

/** An input that changes nothing, and what it answers in a state. */
interface LastInput {
  readonly name: string;
  of(node: TreeNode): string;
}

/** A machine whose states are the nodes of the basis. State 0 is the initial one. */
export class Hypothesis {
  constructor(
    readonly states: readonly TreeNode[],
    /** By state and input. */
    readonly targets: readonly (readonly number[])[],
  ) {}

  /** The state behind a word. */
  after(word: Word): number {
    return word.reduce((state, input) => this.targets[state]![input]!, 0);
  }

  /** Whether a state answers an input like this. */
  agrees(state: number, input: number, output: string, sight: string): boolean {
    const to = this.states[this.targets[state]![input]!]!;
    return this.states[state]!.outputs[input] === output && to.sight === sight;
  }

  /** A known word that is answered otherwise by the hypothesis, or leads elsewhere; null when there is none. */
  contradiction(tree: ObservationTree): Word | null {
    const stateOf = new Map<TreeNode, number>([[tree.root, 0]]);
    for (const node of tree.nodes()) {
      const state = stateOf.get(node)!;
      for (const [input, to] of node.next.entries()) {
        if (to === undefined) continue;
        if (!this.agrees(state, input, node.outputs[input]!, to.sight)) return [...node.access, input];
        if (to.parent === node) stateOf.set(to, this.targets[state]![input]!);
      }
    }
    return null;
  }

  /** As tables, with the status input behind the others. The states come in the order in which words reach them. */
  mealy({ name, inputs, status }: Pick<Teacher, 'name' | 'inputs' | 'status'>): Mealy {
    return this.#tables(name, inputs, status === null ? null : { name: status, of: (node) => node.status! });
  }

  /** The same with a last input `SIGHT`, which answers with all that is seen of a state without an input. */
  withSight({ name, inputs }: Pick<Teacher, 'name' | 'inputs'>): Mealy {
    return this.#tables(name, inputs, { name: SIGHT, of: (node) => node.sight });
  }

  #tables(name: string, inputs: readonly string[], last: LastInput | null): Mealy {
    const order = [0];
    for (const state of order) for (const to of this.targets[state]!) if (!order.includes(to)) order.push(to);
    const outputs: string[] = [];
    const numberOf = (output: string) => {
      const known = outputs.indexOf(output);
      return known >= 0 ? known : outputs.push(output) - 1;
    };
    const next: number[] = [];
    const output: number[] = [];
    for (const [at, state] of order.entries()) {
      const node = this.states[state]!;
      for (const [input, to] of this.targets[state]!.entries()) {
        next.push(order.indexOf(to));
        output.push(numberOf(node.outputs[input] ?? NOT_ASKED));
      }
      if (last === null) continue;
      next.push(at);
      output.push(numberOf(last.of(node)));
    }
    return {
      name,
      states: stateNames(
        order.map((state) => this.states[state]!),
        inputs,
      ),
      inputs: [...inputs, ...(last === null ? [] : [last.name])],
      outputs,
      next: Int16Array.from(next),
      output: Int16Array.from(output),
    };
  }
}

/** What the status says, numbered where several say the same; else the word that led there first. */
function stateNames(nodes: readonly TreeNode[], inputs: readonly string[]): string[] {
  const word = ({ access }: TreeNode): string => access.map((input) => inputs[input]).join(', ');
  return numbered(
    nodes.map((node) => node.status ?? (node.parent === null ? 'initial' : `after ${word(node)}`)),
  );
}
