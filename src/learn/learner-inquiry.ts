import type { Word } from '../automaton/index.js';
import { ObservationTree, type TreeNode } from './observation-tree.js';
import type { LearnEnd, Nondeterminism } from './result.js';
import type { Answer, Teacher } from './teacher.js';

/** What learning may cost. */
export interface Limits {
  /** Most calls to the device; default 1,000,000. */
  readonly maxRequests?: number;
  /** Longest time, in milliseconds; default: without end. */
  readonly maxMilliseconds?: number;
  /** Ends learning between two inputs. */
  readonly signal?: AbortSignal;
}

const DEFAULT_MAX_REQUESTS = 1_000_000;

/** A word whose answers differ is put so many times more. */
const REPEATS = 4;

/** Learning has ended before it was complete. */
export class LearningEnded extends Error {
  constructor(
    readonly reason: LearnEnd,
    readonly nondeterminism: Nondeterminism | null = null,
  ) {
    super(reason);
  }
}

/** Hears of each answer of a word, known or new; with false the word is over. */
type Watch = (input: number, node: TreeNode, to: TreeNode) => boolean;

/**
 * Puts words to a device and keeps the answers. What is known is not asked again, but for the beginning of a
 * word that goes on to what is not; there every answer is held against the one before.
 */
export class Inquiry {
  /** Words that were put to the device. */
  words = 0;
  readonly #teacher: Teacher;
  readonly #limits: Limits;
  readonly #since = performance.now();
  #tree: ObservationTree | null = null;

  constructor(
    teacher: Teacher,
    limits: Limits,
    readonly told: () => void,
  ) {
    this.#teacher = teacher;
    this.#limits = limits;
  }

  /** What is known so far. @throws TypeError before the first word */
  get tree(): ObservationTree {
    if (this.#tree === null) throw new TypeError('nothing was asked yet');
    return this.#tree;
  }

  /** The first fresh start: what is seen before any input. */
  async open(): Promise<void> {
    this.#check();
    this.#tree = new ObservationTree(await this.#teacher.begin());
  }

  /**
   * Puts a word, unless all of it is known.
   * @param goOn more inputs, chosen at the end of the word
   * @param watch ends the word where it wants
   */
  async ask(word: Word, goOn?: (node: TreeNode) => Word, watch?: Watch): Promise<void> {
    const known = this.tree.find(word);
    if (known === null) return this.#put(this.#shortened(word), goOn, watch);
    const more = goOn?.(known) ?? [];
    if (this.tree.find(more, known) === null) await this.#put([...known.access, ...more], undefined, watch);
  }

  /** The word without inputs that are known not to reach the device, or to be a fresh start. */
  #shortened(word: Word): Word {
    let node: TreeNode | undefined = this.tree.root;
    const rest: number[] = [];
    for (const input of word) {
      const to: TreeNode | undefined = node?.next[input];
      if (to === node && to !== undefined) continue;
      if (to === this.tree.root) rest.length = 0;
      else rest.push(input);
      node = to;
    }
    return rest;
  }

  async #put(word: Word, goOn?: (node: TreeNode) => Word, watch?: Watch): Promise<void> {
    this.#check();
    this.words++;
    const { status } = await this.#teacher.begin();
    const { root } = this.tree;
    if (status !== root.status) await this.#differs([], `(${root.status})`, `(${status})`);
    const rest = [...word];
    let isExtended = goOn === undefined;
    for (let node = root; ; ) {
      if (rest.length === 0 && !isExtended) {
        isExtended = true;
        rest.push(...goOn!(node));
      }
      const input = rest.shift();
      if (input === undefined) break;
      const to = node.next[input] === node ? node : await this.#step(node, input);
      if (watch !== undefined && !watch(input, node, to)) break;
      node = to;
    }
    this.told();
  }

  async #step(node: TreeNode, input: number): Promise<TreeNode> {
    this.#check();
    const known = node.next[input];
    const answer = await this.#teacher.step(input, known === undefined);
    if (known === undefined) return this.tree.add(node, input, answer.output, answer);
    const expected = node.outputs[input]!;
    const differs = answer.output !== expected || (answer.status !== null && answer.status !== known.status);
    if (differs)
      await this.#differs(
        [...node.access, input],
        text(expected, known.status),
        text(answer.output, answer.status),
      );
    return known;
  }

  /** Puts the word again and again, to tell all that is answered. */
  async #differs(word: Word, before: string, now: string): Promise<never> {
    const common = this.#knownAnswers(word.slice(0, -1));
    const answers = [
      [...common, before],
      [...common, now],
    ].map((list) => list.slice(-Math.max(1, word.length)));
    for (let time = 0; time < REPEATS; time++) answers.push(await this.#repeat(word));
    const texts = answers.map((each) => each.join('\n'));
    throw new LearningEnded('nondeterminism', {
      word: word.map((input) => this.#teacher.inputs[input]!),
      answers: answers.filter((_, at) => texts.indexOf(texts[at]!) === at),
    });
  }

  #knownAnswers(word: Word): string[] {
    const list: string[] = [];
    let node = this.tree.root;
    for (const input of word) {
      const to = node.next[input]!;
      list.push(text(node.outputs[input]!, to.status));
      node = to;
    }
    return list;
  }

  async #repeat(word: Word): Promise<string[]> {
    const { status } = await this.#teacher.begin();
    if (word.length === 0) return [`(${status})`];
    const list: string[] = [];
    for (const input of word) {
      const answer: Answer = await this.#teacher.step(input, true);
      list.push(text(answer.output, answer.status));
    }
    return list;
  }

  #check(): void {
    const {
      maxRequests = DEFAULT_MAX_REQUESTS,
      maxMilliseconds = Number.POSITIVE_INFINITY,
      signal,
    } = this.#limits;
    if (signal?.aborted) throw new LearningEnded('interrupted');
    const isOver = performance.now() - this.#since >= maxMilliseconds;
    if (isOver || this.#teacher.requests >= maxRequests) throw new LearningEnded('budget');
  }
}

const text = (output: string, status: string | null): string =>
  status === null ? output : `${output} (${status})`;
