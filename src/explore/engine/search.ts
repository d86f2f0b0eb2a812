import type { Expression } from '../expression.js';
import type { Incomplete } from '../result.js';
import type { Program, Progress } from './program.js';
import type { StateSpace } from './space.js';

/** What a search is bound by; null: not. */
export interface Limits {
  /** Bytes of states and table. */
  readonly memory: number;
  readonly states: number | null;
  readonly depth: number | null;
}

/** States in a segment of the arena; the successors of the last one may go beyond. */
const SEGMENT = 2 ** 17;
/** The table grows when it is this full. */
const FULL = 0.8;
const GROWTH = 1.6;
const FIRST_TABLE = 2 ** 12;
/** States that are expanded before the caller is heard again. */
const SLICE = 2 ** 16;

/** A part of the arena: the number of its first state, and its words. */
interface Segment {
  readonly first: number;
  readonly words: Int32Array;
}

/**
 * Breadth-first search over packed states. States stand in the order in which they were reached, in segments:
 * the arena is the queue too. Beside it there is a table of exact keys, and no parents: a path is found by
 * expanding earlier levels again.
 */
export class Search implements StateSpace {
  readonly #program: Program;
  readonly #segments: Segment[] = [];
  #table: Int32Array;
  #size: number;
  #count = 0;
  /** The next state to be expanded, and its segment. */
  #next = 0;
  #at = 0;
  /** The number of the first state of each level; of the last one not all are expanded, or none. */
  readonly #levels: number[] = [0];
  /** The end of the level that is being expanded. */
  #end = 1;
  /** Number of each key's state; made when successors are asked for by number. */
  #numbers: Uint32Array | null = null;
  edges = 0;
  /** The first state at which a run comes to a halt where it may not, or -1. */
  dead = -1;

  readonly #initial: Int32Array;

  constructor(program: Program, initial: readonly number[]) {
    this.#program = program;
    this.#initial = Int32Array.from(initial);
    this.#size = Math.max(FIRST_TABLE, 4 * program.actions);
    this.#table = new Int32Array(this.#size * program.words);
    this.#addSegment();
    const first = this.#segments[0]!.words;
    first.set(initial);
    program.canonical(first, 0);
    this.#insert(first, 0);
    this.#count = 1;
    program.check(first, 0, 0);
  }

  get count(): number {
    return this.#count;
  }

  get expanded(): number {
    return this.#next;
  }

  /** Actions on a shortest path to the furthest state. */
  get depth(): number {
    return this.#levels.length - 1 + (this.#count > this.#end ? 1 : 0);
  }

  get bytes(): number {
    const states = this.#segments.reduce((sum, { words }) => sum + words.length, 0);
    return 4 * (this.#table.length + states);
  }

  /** Goes on for a while: null when more is to be done, `done`, or the bound that ends it. */
  slice(limits: Limits): 'done' | Incomplete | null {
    const until = this.#next + SLICE;
    while (this.#next < until) {
      if (this.#next === this.#end) {
        if (this.#end === this.#count) return 'done';
        this.#levels.push(this.#end);
        this.#end = this.#count;
      }
      if (limits.depth !== null && this.#levels.length > limits.depth) return 'depth';
      if (limits.states !== null && this.#count >= limits.states) return 'states';
      if (!this.#makeRoom(limits.memory)) return 'memory';
      this.#run(Math.min(until, this.#end));
    }
    return null;
  }

  #run(to: number): void {
    while (this.#next >= this.#firstAfter(this.#at)) this.#at++;
    const from = this.#segments[this.#at]!;
    const into = this.#segments.at(-1)!;
    const progress: Progress = {
      src: from.words,
      base: from.first,
      at: this.#next - from.first,
      to: Math.min(to, this.#firstAfter(this.#at)) - from.first,
      dst: into.words,
      dstBase: into.first,
      dstAt: this.#count - into.first,
      room: SEGMENT,
      table: this.#table,
      size: this.#size,
      space: Math.floor(this.#size * FULL) - this.#count,
      edges: 0,
      fresh: 0,
      dead: this.dead,
    };
    this.#program.run(progress);
    this.#next = from.first + progress.at;
    this.#count += progress.fresh;
    this.edges += progress.edges;
    this.dead = progress.dead;
  }

  /** The number of the first state behind a segment. */
  #firstAfter(segment: number): number {
    return this.#segments[segment + 1]?.first ?? this.#count;
  }

  /** Makes room for the successors of one more state; false: the bound is in the way. */
  #makeRoom(memory: number): boolean {
    const { actions, words } = this.#program;
    if (this.#count - this.#segments.at(-1)!.first >= SEGMENT) {
      if (this.bytes + 4 * (SEGMENT + actions) * words > memory) return false;
      this.#addSegment();
    }
    if (this.#count + actions >= Math.floor(this.#size * FULL)) {
      const size = Math.ceil(this.#size * GROWTH) + actions;
      if (this.bytes + 4 * (size - this.#size) * words > memory) return false;
      this.#rebuild(size);
    }
    return true;
  }

  #addSegment(): void {
    const { actions, words } = this.#program;
    this.#segments.push({ first: this.#count, words: new Int32Array((SEGMENT + actions) * words) });
  }

  /** The arena holds every key, so the old table goes before the new one comes. */
  #rebuild(size: number): void {
    this.#table = new Int32Array(0);
    this.#size = size;
    this.#table = new Int32Array(size * this.#program.words);
    for (const [index, { first, words }] of this.#segments.entries()) {
      const states = this.#firstAfter(index) - first;
      for (let state = 0; state < states; state++) this.#insert(words, state * this.#program.words);
    }
  }

  #insert(from: Int32Array, offset: number): void {
    const { words } = this.#program;
    let slot = Math.floor(this.#program.hash(from, offset) * (this.#size / 2 ** 32));
    while (this.#table[slot * words] !== 0) slot = slot + 1 === this.#size ? 0 : slot + 1;
    for (let word = 0; word < words; word++) this.#table[slot * words + word] = from[offset + word]!;
  }

  /** Tells where the words of a state are. */
  #locate(state: number): { words: Int32Array; offset: number } {
    let low = 0;
    let high = this.#segments.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#segments[middle]!.first <= state) low = middle;
      else high = middle - 1;
    }
    const { first, words } = this.#segments[low]!;
    return { words, offset: (state - first) * this.#program.words };
  }

  predicate(expression: Expression): (state: number) => boolean {
    const test = this.#program.predicate(expression);
    return (state) => {
      const { words, offset } = this.#locate(state);
      return test(words, offset);
    };
  }

  successors(state: number, visit: (action: number, to: number) => void): void {
    const { words, offset } = this.#locate(state);
    const { out, acts, words: width } = this.#program;
    const count = this.#program.expand(words, offset);
    // `visit` may ask for successors itself, which would write over these.
    const tos = Array.from({ length: count }, (_, index) => this.#numberOf(out, index * width));
    const actions = acts.slice(0, count);
    for (let index = 0; index < count; index++) visit(actions[index]!, tos[index]!);
  }

  /** The number of the state with these words; it was reached. */
  #numberOf(from: Int32Array, offset: number): number {
    const numbers = this.#index();
    const { words } = this.#program;
    let slot = Math.floor(this.#program.hash(from, offset) * (numbers.length / 2 ** 32));
    for (;;) {
      const state = numbers[slot]! - 1;
      const place = this.#locate(state);
      let word = 0;
      while (word < words && place.words[place.offset + word] === from[offset + word]) word++;
      if (word === words) return state;
      slot = slot + 1 === numbers.length ? 0 : slot + 1;
    }
  }

  /** States by their keys, as numbers plus one. The search is over: its table goes. */
  #index(): Uint32Array {
    if (this.#numbers !== null) return this.#numbers;
    this.#table = new Int32Array(0);
    const numbers = new Uint32Array(Math.ceil(this.#count / 0.6) + 1);
    for (let state = 0; state < this.#count; state++) {
      const { words, offset } = this.#locate(state);
      let slot = Math.floor(this.#program.hash(words, offset) * (numbers.length / 2 ** 32));
      while (numbers[slot] !== 0) slot = slot + 1 === numbers.length ? 0 : slot + 1;
      numbers[slot] = state + 1;
    }
    this.#numbers = numbers;
    return numbers;
  }

  pathTo(state: number): number[] {
    return this.walkTo(state).actions;
  }

  /**
   * A shortest run to a state, as indices of actions, and the words in which it ends. Where members were
   * exchanged, the run is one of the model as it is, and its end is the state up to their order.
   */
  walkTo(state: number): { actions: number[]; end: Int32Array } {
    const { words: width, out, acts } = this.#program;
    const goal = new Int32Array(width);
    const actions: number[] = [];
    const at = this.#initial.slice();
    for (const next of this.#chainTo(state).slice(1)) {
      const place = this.#locate(next);
      const count = this.#program.expandConcrete(at, 0);
      const found = Array.from({ length: count }, (_, index) => index).find((index) => {
        goal.set(out.subarray(index * width, (index + 1) * width));
        this.#program.canonical(goal, 0);
        return same(goal, 0, place.words, place.offset, width);
      });
      if (found === undefined) throw new Error('a state that was reached has no way to it');
      actions.push(acts[found]!);
      at.set(out.subarray(found * width, (found + 1) * width));
    }
    return { actions, end: at };
  }

  /** The states on a shortest way to a state, the initial one first, by expanding earlier levels again. */
  #chainTo(state: number): number[] {
    const chain = [state];
    let level = state >= this.#end ? this.#levels.length : this.#levels.length - 1;
    while (level < this.#levels.length && this.#levels[level]! > state) level--;
    for (; level > 0; level--) chain.unshift(this.#predecessor(chain[0]!, level));
    return chain;
  }

  /** A state of the level before that leads to this one. */
  #predecessor(state: number, level: number): number {
    const { words: width, out } = this.#program;
    const goal = this.#locate(state);
    const end = this.#levels[level] ?? this.#end;
    for (let each = this.#levels[level - 1]!; each < end; each++) {
      const { words, offset } = this.#locate(each);
      const count = this.#program.expand(words, offset);
      for (let index = 0; index < count; index++)
        if (same(out, index * width, goal.words, goal.offset, width)) return each;
    }
    throw new Error('a state that was reached has no predecessor');
  }

  /** What a checkpoint holds beside the words: see `checkpoint.ts`. */
  get position(): Position {
    const { edges, dead } = this;
    return { count: this.#count, next: this.#next, end: this.#end, levels: [...this.#levels], edges, dead };
  }

  /** The arena, in parts. */
  *words(): Generator<Int32Array> {
    for (const [index, { first, words }] of this.#segments.entries())
      yield words.subarray(0, (this.#firstAfter(index) - first) * this.#program.words);
  }

  /** Takes a search up where it was left. The table is made again. */
  restore(position: Position, words: Int32Array): void {
    const { words: width } = this.#program;
    this.#segments.length = 0;
    for (let first = 0; first === 0 || first < position.count; first += SEGMENT) {
      this.#count = first;
      this.#addSegment();
      const part = words.subarray(first * width, Math.min(position.count, first + SEGMENT) * width);
      this.#segments.at(-1)!.words.set(part);
    }
    this.#count = position.count;
    this.#next = position.next;
    this.#end = position.end;
    this.#levels.splice(0, this.#levels.length, ...position.levels);
    this.edges = position.edges;
    this.dead = position.dead;
    this.#at = 0;
    this.#rebuild(Math.max(this.#size, Math.ceil((this.#count + this.#program.actions) / FULL) + 1));
  }
}

/** Where a search is. */
export interface Position {
  readonly count: number;
  readonly next: number;
  readonly end: number;
  readonly levels: readonly number[];
  readonly edges: number;
  readonly dead: number;
}

function same(a: Int32Array, atA: number, b: Int32Array, atB: number, width: number): boolean {
  for (let word = 0; word < width; word++) if (a[atA + word] !== b[atB + word]) return false;
  return true;
}
