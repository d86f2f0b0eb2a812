import type { StateSpace } from './space.js';

export interface Question {
  from(state: number): boolean;
  to(state: number): boolean;
  /** A list of actions (their indices) for each class to which runs are weakly fair; at most 30 classes. */
  readonly fair: readonly (readonly number[])[];
  /** Bytes that it may take beside the states. */
  readonly room: number;
}

/**
 * A run that never comes to `to`. `loop` is the index into `path` at which its cycle begins; at the end of the
 * path: the run stays in its last state, because nothing more has to happen.
 */
export interface Lasso {
  readonly path: readonly number[];
  readonly loop: number;
}

interface Edge {
  readonly action: number;
  readonly to: number;
}

/** States between two that it yields. */
const SLICE = 2 ** 14;

/**
 * Looks for a run that comes to a state with `from`, and from there on is never in one with `to`, although it
 * is weakly fair. A run may stay where it is for ever when fairness asks for nothing there. So a run that is
 * looked for ends in a strongly connected part of the states without `to` in which each class is disabled
 * somewhere, or taken; a part that fulfils this in parts does so as a whole, so the maximal ones are enough.
 *
 * It yields, now and then, the number of states that it has looked at. It returns the run with the shortest way
 * to its cycle, null when there is none, and `memory` when there is too little room to tell.
 */
export function* leadsTo(space: StateSpace, question: Question): Generator<number, Lasso | null | 'memory'> {
  const classOf = classesOf(question.fair);
  // Marks, and what the way to a part that is found needs: two numbers a state.
  const room = question.room - 12 * space.count;
  if (room < 0 || space.count > MOST_STATES) return 'memory';
  const parts = new Parts(space, question, classOf, room);
  const found = yield* parts.find();
  if (found !== true) return found ? 'memory' : null;
  const way = yield* nearestEnd(space, question, parts);
  return { path: [...way.path, ...fairCycle(space, parts, way.end, classOf)], loop: way.path.length };
}

/** Bits of a number that stays positive. */
const MOST_CLASSES = 30;

/** Per action a bit for each of its classes; all classes. */
interface Classes {
  of(action: number): number;
  readonly all: number;
}

function classesOf(fair: readonly (readonly number[])[]): Classes {
  if (fair.length > MOST_CLASSES) throw new RangeError(`more than ${MOST_CLASSES} classes of fairness`);
  const bits: number[] = [];
  for (const [index, actions] of fair.entries())
    for (const action of actions) bits[action] = (bits[action] ?? 0) | (1 << index);
  return { of: (action) => bits[action] ?? 0, all: 2 ** fair.length - 1 };
}

/** Marks of states: 0 not seen, above 0 open, this for a state with `to`, below it a closed part. */
const OUTSIDE = -1;
/** Numbers of parts are shifted by one bit. */
const MOST_STATES = 2 ** 29;

/** Words of a frame of the depth-first walk, by their places. */
const FRAME = 6;
const [STATE, OWN, PENDING, TAKEN, DISABLED, ENTRY] = [0, 1, 2, 3, 4, 5];

/**
 * The strongly connected parts of all states that a run can be in after `from`, without `to` since: Tarjan's
 * algorithm with stacks of its own, and one number a state (Pearce, "A space-efficient algorithm for finding
 * strongly connected components", 2016). What a part takes and where classes are disabled is gathered on the way.
 */
class Parts {
  readonly marks: Int32Array;
  readonly #frames: Stack;
  readonly #open: Stack;
  /** Successors that were not seen when their state was entered, and the classes of the actions to them. */
  readonly #pending: Stack;
  #counter = 0;
  #parts = 0;
  #found = false;

  constructor(
    readonly space: StateSpace,
    readonly question: Question,
    readonly classes: Classes,
    room: number,
  ) {
    this.marks = new Int32Array(space.count);
    const budget = { left: room };
    this.#frames = new Stack(budget);
    this.#open = new Stack(budget);
    this.#pending = new Stack(budget);
  }

  /** Whether a part may be stayed in, or `memory`. */
  *find(): Generator<number, boolean | 'memory'> {
    const { from, to } = this.question;
    const { count } = this.space;
    let told = 0;
    for (let state = 0; state < count; state++) {
      if (state % SLICE === 0) yield this.#counter;
      if (this.marks[state] !== 0 || !from(state) || to(state)) continue;
      if (!this.#enter(state, 0)) return 'memory';
      while (this.#frames.size > 0) {
        if (!this.#advance()) return 'memory';
        if (this.#counter < told) continue;
        told = this.#counter + SLICE;
        yield this.#counter;
      }
    }
    return this.#found;
  }

  /** Whether a run may stay for ever in the part of a closed state. */
  mayStay(state: number): boolean {
    return (~this.marks[state]! & 1) === 1;
  }

  /** Goes one edge or one end of a state on; false: there is no room. */
  #advance(): boolean {
    const { words, size } = this.#frames;
    const top = size - FRAME;
    if (this.#pending.size === words[top + PENDING]!) {
      this.#leave(top);
      return true;
    }
    const bits = this.#pending.pop();
    const state = this.#pending.pop();
    const mark = this.marks[state]!;
    if (mark === 0) return this.#enter(state, bits);
    if (mark > 0) this.#meet(top, mark, bits);
    return true;
  }

  /** An edge to a state that is open, and so in the same part. */
  #meet(frame: number, mark: number, bits: number): void {
    const { words } = this.#frames;
    const state = words[frame + STATE]!;
    if (mark < this.marks[state]!) this.marks[state] = mark;
    words[frame + TAKEN]! |= bits;
  }

  #enter(state: number, entry: number): boolean {
    const { marks, classes } = this;
    const own = ++this.#counter;
    marks[state] = own;
    const frame = this.#frames.size;
    const pushed =
      this.#open.push(state) &&
      this.#frames.push(state) &&
      this.#frames.push(own) &&
      this.#frames.push(this.#pending.size) &&
      this.#frames.push(0) &&
      this.#frames.push(0) &&
      this.#frames.push(entry);
    if (!pushed) return false;
    let enabled = 0;
    let room = true;
    this.space.successors(state, (action, to) => {
      const bits = classes.of(action);
      enabled |= bits;
      const mark = marks[to]!;
      if (mark > 0) this.#meet(frame, mark, bits);
      else if (mark === 0) room = this.#later(to, bits) && room;
    });
    this.#frames.words[frame + DISABLED] = classes.all & ~enabled;
    return room;
  }

  #later(state: number, bits: number): boolean {
    if (this.question.to(state)) {
      this.marks[state] = OUTSIDE;
      return true;
    }
    return this.#pending.push(state) && this.#pending.push(bits);
  }

  #leave(top: number): void {
    const { words } = this.#frames;
    const state = words[top + STATE]!;
    const [taken, disabled] = [words[top + TAKEN]!, words[top + DISABLED]!];
    this.#frames.size = top;
    if (this.marks[state] === words[top + OWN]) this.#close(state, (taken | disabled) === this.classes.all);
    else {
      const parent = top - FRAME;
      this.#meet(parent, this.marks[state]!, taken | words[top + ENTRY]!);
      words[parent + DISABLED]! |= disabled;
    }
  }

  #close(root: number, mayStay: boolean): void {
    this.#found ||= mayStay;
    const mark = ~((++this.#parts << 1) | Number(mayStay));
    for (let state = -1; state !== root; ) {
      state = this.#open.pop();
      this.marks[state] = mark;
    }
  }
}

/** Numbers, in memory that is counted. */
class Stack {
  words = new Int32Array(2 ** 10);
  size = 0;

  constructor(readonly budget: { left: number }) {}

  /** False: there is no room. */
  push(value: number): boolean {
    if (this.size === this.words.length && !this.#grow()) return false;
    this.words[this.size++] = value;
    return true;
  }

  pop(): number {
    return this.words[--this.size]!;
  }

  #grow(): boolean {
    const bytes = 4 * this.words.length;
    // While it is copied, the old one is there too.
    if (this.budget.left < 2 * bytes) return false;
    this.budget.left -= bytes;
    const grown = new Int32Array(2 * this.words.length);
    grown.set(this.words);
    this.words = grown;
    return true;
  }
}

/** The shortest way from the initial state, through one with `from`, to where a run may stay without `to` since. */
function* nearestEnd(
  space: StateSpace,
  { from }: Question,
  parts: Parts,
): Generator<number, { path: number[]; end: number }> {
  /** The state before, plus one; -1 for those where `from` is first met. */
  const cameBy = new Int32Array(space.count);
  const queue = new Int32Array(space.count);
  let queued = 0;
  const add = (state: number, by: number): void => {
    if (cameBy[state] !== 0 || parts.marks[state] === OUTSIDE) return;
    cameBy[state] = by;
    queue[queued++] = state;
  };
  // States that are as far from the initial one have numbers in a row. Their level and the walk go on side by side.
  let [level, next, at] = [0, 1, 0];
  for (let steps = 0; at < queued || level < next; ) {
    for (let state = level; state < next; state++)
      if (parts.marks[state]! < OUTSIDE && from(state)) add(state, -1);
    for (const last = queued; at < last; at++) {
      if (steps++ % SLICE === 0) yield space.count;
      const end = queue[at]!;
      if (parts.mayStay(end)) return { path: wayTo(space, cameBy, end), end };
      space.successors(end, (_, to) => add(to, end + 1));
    }
    let after = next;
    for (; level < next; level++) {
      if (steps++ % SLICE === 0) yield space.count;
      space.successors(level, (_, to) => {
        after = Math.max(after, to + 1);
      });
    }
    next = after;
  }
  throw new Error('a part that was found is not there');
}

function wayTo(space: StateSpace, cameBy: Int32Array, end: number): number[] {
  const actions: number[] = [];
  let to = end;
  for (; cameBy[to] !== -1; to = cameBy[to]! - 1) {
    let by = -1;
    space.successors(cameBy[to]! - 1, (action, next) => {
      if (next === to) by = action;
    });
    actions.push(by);
  }
  return [...space.pathTo(to), ...actions.reverse()];
}

/** A cycle from a state through its part that takes each class, or passes a state where it is disabled; empty: stay there. */
function fairCycle(space: StateSpace, { marks }: Parts, start: number, classes: Classes): number[] {
  const path: number[] = [];
  let at = start;
  let missing = classes.all;
  const edges = (state: number): { inside: Edge[]; enabled: number } => {
    const inside: Edge[] = [];
    let enabled = 0;
    space.successors(state, (action, to) => {
      enabled |= classes.of(action);
      if (marks[to] === marks[start]) inside.push({ action, to });
    });
    return { inside, enabled };
  };
  const pass = (state: number): void => {
    missing &= edges(state).enabled;
  };
  const follow = (way: readonly Edge[]): void => {
    for (const { action, to } of way) {
      path.push(action);
      missing &= ~classes.of(action);
      pass(to);
      at = to;
    }
  };
  pass(at);
  while (missing !== 0) {
    const wanted = missing;
    follow(
      shortest(edges, at, ({ action, to }) => {
        const bits = classes.of(action);
        return (bits & wanted) !== 0 || (wanted & ~edges(to).enabled) !== 0;
      }),
    );
  }
  if (at !== start) follow(shortest(edges, at, ({ to }) => to === start));
  return path;
}

/** The shortest way inside a part whose last edge is wanted. */
function shortest(
  edges: (state: number) => { inside: Edge[] },
  start: number,
  wanted: (edge: Edge) => boolean,
): Edge[] {
  const cameBy = new Map<number, { from: number; edge: Edge }>();
  const queue = [start];
  for (const state of queue) {
    for (const edge of edges(state).inside) {
      if (wanted(edge)) {
        const way = [edge];
        for (let at = state; at !== start; at = cameBy.get(at)!.from) way.push(cameBy.get(at)!.edge);
        return way.reverse();
      }
      if (edge.to === start || cameBy.has(edge.to)) continue;
      cameBy.set(edge.to, { from: state, edge });
      queue.push(edge.to);
    }
  }
  throw new Error('a strongly connected part has no way through it');
}
