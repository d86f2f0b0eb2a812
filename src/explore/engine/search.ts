import type { Expression } from '../expression.js';
import type { Incomplete } from '../result.js';
import { Arena } from './arena.js';
import type { Program, Progress } from './program.js';
import type { StateSpace } from './space.js';

/** What a search is bound by; null: not. */
export interface Limits {
  /** Bytes of states and table. */
  readonly memory: number;
  readonly states: number | null;
  readonly depth: number | null;
}

/** The table grows when it is this full. */
const FULL = 0.8;
const GROWTH = 1.6;
const FIRST_TABLE = 2 ** 10;
/** How full the table of numbers is that liveness asks. */
const NUMBERS_FULL = 0.6;
/** States that are expanded before the caller is heard again. */
const SLICE = 2 ** 14;
/** Numbers of states stay positive as 32-bit integers. */
const MOST_STATES = 2 ** 31 - 2;

/** Where a search is. */
export interface Position {
  readonly count: number;
  /** The next state to be expanded. */
  readonly next: number;
  /** The end of the level that is being expanded. */
  readonly end: number;
  /** The number of the first state of each level; of the last one not all are expanded, or none. */
  readonly levels: readonly number[];
  readonly edges: number;
}

/**
 * Breadth-first search over packed states. States stand in the order in which they were reached: the arena is the
 * queue too. Beside it there is a table of exact keys, and no parents: a path is found by expanding earlier levels
 * again.
 */
export class Search implements StateSpace {
  readonly #program: Program;
  readonly #arena: Arena;
  #table: Int32Array;
  #size: number;
  #count = 1;
  #next = 0;
  #end = 1;
  readonly #levels: number[] = [0];
  /** States by their keys; made when successors are asked for by number. */
  #numbers: Int32Array | null = null;
  readonly #tos: Int32Array;
  edges = 0;

  constructor(program: Program, initial: readonly number[]) {
    this.#program = program;
    this.#tos = new Int32Array(program.actions);
    this.#arena = new Arena(program.words);
    this.#size = FIRST_TABLE;
    this.#table = new Int32Array(this.#size * program.slot);
    const words = this.#arena.segment(0);
    words.set(initial);
    program.canonical(words, 0);
    program.check(words, 0, 0);
    program.enter(this.#table, this.#arena.segments, 0, 1);
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

  /** Bytes of states and table. */
  get bytes(): number {
    return 4 * this.#table.length + this.#arena.bytes;
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
      this.#run(Math.min(until, this.#end), limits.states ?? Number.POSITIVE_INFINITY);
    }
    return null;
  }

  /** @param most no more states are expanded once so many were reached */
  #run(to: number, most: number): void {
    const room = Math.min(this.#room, this.#arena.capacity) - this.#program.actions;
    const progress: Progress = {
      segments: this.#arena.segments,
      at: this.#next,
      to: Math.min(to, this.#arena.segmentEnd(this.#next)),
      count: this.#count,
      until: Math.min(room + 1, most),
      table: this.#table,
      size: this.#size,
      edges: 0,
    };
    this.#program.run(progress);
    this.#next = progress.at;
    this.#count = progress.count;
    this.edges += progress.edges;
  }

  /** States that the table takes. */
  get #room(): number {
    return Math.floor(this.#size * FULL);
  }

  /** Makes room for the successors of one more state; false: the bound is in the way. */
  #makeRoom(memory: number): boolean {
    const wanted = this.#count + this.#program.actions;
    if (this.bytes > memory || wanted > MOST_STATES) return false;
    while (wanted > this.#arena.capacity) {
      if (this.bytes + this.#arena.growth > memory) return false;
      this.#arena.grow();
    }
    if (wanted > this.#room) {
      const size = Math.max(Math.ceil(this.#size * GROWTH), Math.ceil(wanted / FULL) + 1);
      if (this.bytes + 4 * (size - this.#size) * this.#program.slot > memory) return false;
      this.#rebuild(size);
    }
    return true;
  }

  /** The arena holds every key, so the old table goes before the new one comes. */
  #rebuild(size: number): void {
    this.#table = new Int32Array(0);
    this.#size = size;
    this.#table = new Int32Array(size * this.#program.slot);
    this.#program.enter(this.#table, this.#arena.segments, 0, this.#count);
  }

  predicate(expression: Expression): (state: number) => boolean {
    const test = this.#program.predicate(expression);
    return (state) => test(this.#arena.segment(state), this.#arena.offset(state));
  }

  successors(state: number, visit: (action: number, to: number) => void): void {
    this.#numbers ??= this.#index();
    const { segments } = this.#arena;
    const words = this.#arena.segment(state);
    const count = this.#program.successors(
      this.#numbers,
      segments,
      words,
      this.#arena.offset(state),
      this.#tos,
    );
    const { acts } = this.#program;
    for (let index = 0; index < count; index++) visit(acts[index]!, this.#tos[index]!);
  }

  /** Bytes of states and of the table that successors are found with. */
  get bytesWithNumbers(): number {
    return this.#arena.bytes + 4 * this.#numbersSize;
  }

  get #numbersSize(): number {
    return Math.ceil(this.#count / NUMBERS_FULL) + 1;
  }

  /** The search is over: its table goes. */
  #index(): Int32Array {
    this.#table = new Int32Array(0);
    const numbers = new Int32Array(this.#numbersSize);
    this.#program.enterNumbers(numbers, this.#arena.segments, 0, this.#count);
    return numbers;
  }

  pathTo(state: number): number[] {
    const { acts } = this.#program;
    const chain = this.chainTo(state);
    return chain.slice(1).map((to, index) => acts[this.#stepTo(chain[index]!, to)]!);
  }

  /** The states on a shortest way to a state, the initial one first, by expanding earlier levels again. */
  chainTo(state: number): number[] {
    const chain = [state];
    for (let level = this.#levelOf(state); level > 0; level--)
      chain.unshift(this.#predecessor(chain[0]!, level));
    return chain;
  }

  #levelOf(state: number): number {
    if (state >= this.#end) return this.#levels.length;
    let level = this.#levels.length - 1;
    while (this.#levels[level]! > state) level--;
    return level;
  }

  /** A state of the level before that leads to this one. */
  #predecessor(state: number, level: number): number {
    const from = this.#levels[level - 1]!;
    const to = this.#levels[level] ?? this.#end;
    const words = this.#arena.segment(state);
    const { segments } = this.#arena;
    const found = this.#program.predecessor(segments, from, to, words, this.#arena.offset(state));
    if (found >= 0) return found;
    throw new Error('a state that was reached has no predecessor');
  }

  /** Which of a state's successors (in the program's `out` and `acts`) is this one, or -1. */
  #stepTo(from: number, to: number): number {
    const { words, out } = this.#program;
    const count = this.#program.expand(this.#arena.segment(from), this.#arena.offset(from));
    for (let index = 0; index < count; index++) {
      this.#program.canonical(out, index * words);
      if (this.isAt(to, out, index * words)) return index;
    }
    return -1;
  }

  /** Whether a state has these words. */
  isAt(state: number, words: Int32Array, offset: number): boolean {
    const own = this.#arena.segment(state);
    const at = this.#arena.offset(state);
    for (let word = 0; word < this.#program.words; word++)
      if (own[at + word] !== words[offset + word]) return false;
    return true;
  }

  get position(): Position {
    const { edges } = this;
    return { count: this.#count, next: this.#next, end: this.#end, levels: [...this.#levels], edges };
  }

  /** The words of all states, in parts. */
  words(): Iterable<Int32Array> {
    return this.#arena.parts(this.#count);
  }

  /** Bytes that a search needs that goes on from a position. */
  bytesAt({ count }: Position): number {
    const { words, actions, slot } = this.#program;
    return Arena.bytesFor(count + actions, words) + 4 * slot * this.#sizeFor(count);
  }

  #sizeFor(count: number): number {
    return Math.max(FIRST_TABLE, Math.ceil((count + this.#program.actions) / FULL) + 1);
  }

  /**
   * Takes a search up where it was left. The table is made again.
   * @param bytes words of the states, in the byte order of this machine
   */
  restore(position: Position, bytes: Uint8Array): void {
    this.#arena.fill(bytes, position.count);
    this.#count = position.count;
    this.#next = position.next;
    this.#end = position.end;
    this.#levels.splice(0, this.#levels.length, ...position.levels);
    this.edges = position.edges;
    this.#rebuild(this.#sizeFor(this.#count));
  }
}
