import type { Word } from './mealy.js';

/** The node of the empty word. */
export const ROOT = 0;

/** A set of words as a tree: beginnings are shared, and a word that begins a longer one needs no test of its own. */
export class WordTree {
  readonly #input = [-1];
  readonly #parent = [-1];
  readonly #firstChild = [-1];
  readonly #nextSibling = [-1];

  /** The node behind an input, made when it is not there yet. */
  child(node: number, input: number): number {
    let last = -1;
    for (let at = this.#firstChild[node]!; at >= 0; at = this.#nextSibling[at]!) {
      if (this.#input[at] === input) return at;
      last = at;
    }
    const made = this.#input.push(input) - 1;
    this.#parent.push(node);
    this.#firstChild.push(-1);
    this.#nextSibling.push(-1);
    if (last < 0) this.#firstChild[node] = made;
    else this.#nextSibling[last] = made;
    return made;
  }

  /** Adds a word from a node on, and returns the node of its end. */
  add(word: Word, from = ROOT): number {
    let node = from;
    for (const input of word) node = this.child(node, input);
    return node;
  }

  /** The nodes with the inputs that lead to them, each below its parent and before its next sibling. */
  *nodes(): Generator<{ input: number; depth: number; isLeaf: boolean }> {
    const stack = [{ node: this.#firstChild[ROOT]!, depth: 1 }];
    while (stack.length > 0) {
      const { node, depth } = stack.pop()!;
      if (node < 0) continue;
      stack.push({ node: this.#nextSibling[node]!, depth });
      const child = this.#firstChild[node]!;
      yield { input: this.#input[node]!, depth, isLeaf: child < 0 };
      if (child >= 0) stack.push({ node: child, depth: depth + 1 });
    }
  }

  /** The words that begin no other one, in the order in which they were added below each node. */
  words(): Word[] {
    const words: Word[] = [];
    const word: number[] = [];
    for (const { input, depth, isLeaf } of this.nodes()) {
      word.length = depth - 1;
      word.push(input);
      if (isLeaf) words.push([...word]);
    }
    return words;
  }
}

/** The tree of some words. */
export function treeOf(words: Iterable<Word>): WordTree {
  const tree = new WordTree();
  for (const word of words) tree.add(word);
  return tree;
}
