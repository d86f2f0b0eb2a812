import type { Word } from '../automaton/index.js';
import type { Situation } from './teacher.js';

/** What is known behind a word. */
export class TreeNode {
  /** By input: the node behind it, and the output that leads there. */
  readonly next: (TreeNode | undefined)[] = [];
  readonly outputs: (string | undefined)[] = [];
  /** When something was added below the node: counts up with every addition to the tree. */
  version = 0;

  constructor(
    readonly parent: TreeNode | null,
    /** The input that leads here from the parent. */
    readonly input: number,
    readonly depth: number,
    /** What the status input answers here; null where there is none. */
    readonly status: string | null,
    /** All that is seen here without an input: the status, and which inputs would not reach the device. */
    readonly sight: string,
  ) {}

  /** The word that leads here. */
  get access(): Word {
    const word: number[] = [];
    for (let at: TreeNode = this; at.parent !== null; at = at.parent) word.unshift(at.input);
    return word;
  }
}

/**
 * The observation tree: everything that a device has answered. An input that does not reach the device leads
 * from a node to the node itself, one that is a fresh start leads to the root.
 */
export class ObservationTree {
  readonly root: TreeNode;
  #version = 0;
  #size = 1;

  constructor(beginning: Situation) {
    this.root = new TreeNode(null, -1, 0, beginning.status, sightOf(beginning));
    stay(this.root, beginning);
  }

  /** Nodes of the tree. */
  get size(): number {
    return this.#size;
  }

  /** Counts up with every addition. */
  get version(): number {
    return this.#version;
  }

  /** Adds an answer, and returns the node behind it. */
  add(node: TreeNode, input: number, output: string, situation: Situation): TreeNode {
    node.outputs[input] = output;
    if (situation.isFresh) node.next[input] = this.root;
    else {
      const made = new TreeNode(node, input, node.depth + 1, situation.status, sightOf(situation));
      stay(made, situation);
      node.next[input] = made;
      this.#size++;
    }
    this.#version++;
    for (let at: TreeNode | null = node; at !== null; at = at.parent) at.version = this.#version;
    return node.next[input]!;
  }

  /** The node behind a word from a node on, or null where not all of it is known. */
  find(word: Word, from: TreeNode = this.root): TreeNode | null {
    let at: TreeNode | undefined = from;
    for (const input of word) {
      at = at.next[input];
      if (at === undefined) return null;
    }
    return at;
  }

  /** All nodes, each behind its parent. */
  *nodes(): Generator<TreeNode> {
    const queue = [this.root];
    for (const node of queue) {
      yield node;
      for (const child of node.next) if (child?.parent === node) queue.push(child);
    }
  }
}

const sightOf = ({ status, idle }: Situation): string => [status, ...idle.keys()].join('\n');

function stay(node: TreeNode, { idle }: Situation): void {
  for (const [input, output] of idle) {
    node.next[input] = node;
    node.outputs[input] = output;
  }
}

/**
 * A shortest word that shows two nodes to be different states (they are apart): its last input is answered
 * differently, or leads to a different sight. Empty where their own sight differs; null while nothing tells
 * them apart.
 */
export function witness(a: TreeNode, b: TreeNode): Word | null {
  if (a === b) return null;
  if (a.sight !== b.sight) return [];
  const pairs: Pair[] = [{ a, b, from: -1, input: -1 }];
  const met = new Map<TreeNode, Set<TreeNode>>();
  for (let at = 0; at < pairs.length; at++) {
    const pair = pairs[at]!;
    for (const [input, left] of pair.a.next.entries()) {
      const right = pair.b.next[input];
      if (left === undefined || right === undefined) continue;
      if (pair.a.outputs[input] !== pair.b.outputs[input] || left.sight !== right.sight)
        return [...wordOf(pairs, at), input];
      if (left !== right && isFirst(met, left, right)) pairs.push({ a: left, b: right, from: at, input });
    }
  }
  return null;
}

interface Pair {
  readonly a: TreeNode;
  readonly b: TreeNode;
  /** The pair before, and the input between. */
  readonly from: number;
  readonly input: number;
}

/** Whether two nodes meet for the first time: inputs that lead back make circles. */
function isFirst(met: Map<TreeNode, Set<TreeNode>>, a: TreeNode, b: TreeNode): boolean {
  const others = met.get(a);
  if (others === undefined) met.set(a, new Set([b]));
  else if (others.has(b)) return false;
  else others.add(b);
  return true;
}

function wordOf(pairs: readonly Pair[], at: number): number[] {
  const word: number[] = [];
  for (let pair = pairs[at]!; pair.from >= 0; pair = pairs[pair.from]!) word.unshift(pair.input);
  return word;
}

/** What a word shows from a node, answer by answer, as far as it is known. */
export function shown(node: TreeNode, word: Word): string[] {
  const seen: string[] = [];
  let at: TreeNode | undefined = node;
  for (const input of word) {
    const to: TreeNode | undefined = at.next[input];
    if (to === undefined) break;
    seen.push(`${at.outputs[input]} ${to.sight}`);
    at = to;
  }
  return seen;
}
