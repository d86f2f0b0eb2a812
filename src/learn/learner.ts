import type { Mealy, Word } from '../automaton/index.js';
import { number, plural } from '../text/words.js';
import { type ExamineOptions, examination } from './equivalence.js';
import { Basis, type Gap, type Hypothesis, SIGHT } from './learner-hypothesis.js';
import { Inquiry, LearningEnded, type Limits } from './learner-inquiry.js';
import { shown, type TreeNode, witness } from './observation-tree.js';
import { type LearnEnd, type Learned, NOT_ASKED, type Nondeterminism } from './result.js';
import { LostError, type Teacher } from './teacher.js';

/** How far learning is. */
export interface LearnProgress {
  readonly requests: number;
  readonly words: number;
  /** States that were found. */
  readonly states: number;
  /** While a hypothesis is examined: words of the examination, and how many of them are done. */
  readonly examination: { readonly done: number; readonly words: number } | null;
}

/** Bounds of learning, and who hears of it. */
export interface LearnOptions extends ExamineOptions, Limits {
  /**
   * Words, by names of inputs, that a hypothesis makes suspicious, such as those behind which it differs from the
   * protocol: they are put before all others, so that in the end the device itself has given each such answer.
   */
  suspects?(hypothesis: Mealy): Iterable<readonly string[]>;
  /** Hears of each word that was put. */
  progress?(progress: LearnProgress): void;
}

/**
 * Learns the machine of a device by asking (L#: Vaandrager, Garhewal, Rot, Wissmann, 2022). All answers are
 * kept in a tree. Nodes that no answer makes equal are states; each input is asked in each state, and where it
 * leads is told apart by the shortest words that do so. The hypothesis that results is examined by a complete
 * suite and random words; a word that the device answers otherwise is cut down to what it says of one state.
 *
 * The machine is exact within the result's `guarantee`, provided that the device answers a word the same way
 * each time. Where it does not, that is the result.
 */
export async function learnMachine(teacher: Teacher, options: LearnOptions = {}): Promise<Learned> {
  const learner = new Learner(teacher, options);
  return learner.learn();
}

class Learner {
  readonly #teacher: Teacher;
  readonly #options: LearnOptions;
  readonly #inquiry: Inquiry;
  #basis: Basis | null = null;
  /** The word that divides all states best, when there were so many. */
  #split: Word = [];
  #splits = 0;
  #examination: LearnProgress['examination'] = null;
  #guarantee: string | null = null;
  readonly #notes: string[] = [];

  constructor(teacher: Teacher, options: LearnOptions) {
    this.#teacher = teacher;
    this.#options = options;
    this.#inquiry = new Inquiry(teacher, options, () => this.#told());
  }

  get #states(): Basis {
    return this.#basis!;
  }

  async learn(): Promise<Learned> {
    try {
      await this.#inquiry.open();
      this.#basis = new Basis(this.#inquiry.tree, this.#teacher.inputs.length);
      await this.#learn();
      return this.#result(null, null);
    } catch (error) {
      if (error instanceof LearningEnded) return this.#result(error.reason, error.nondeterminism);
      if (!(error instanceof LostError)) throw error;
      this.#notes.push(error.message);
      return this.#result('lost', null);
    }
  }

  async #learn(): Promise<void> {
    let before = '';
    for (;;) {
      const hypothesis = await this.#hypothesis();
      const word = hypothesis.contradiction(this.#inquiry.tree) ?? (await this.#examine(hypothesis));
      if (word === null) return;
      const now = JSON.stringify(hypothesis.targets);
      if (now === before) throw new TypeError(`nothing was learned of the word ${word}`);
      before = now;
      await this.#takeApart(hypothesis, word);
    }
  }

  /** Asks until every input was asked in every state, and where it leads can be one state only. */
  async #hypothesis(): Promise<Hypothesis> {
    const basis = this.#states;
    for (let isWhole = false; ; ) {
      basis.update(isWhole);
      const open = basis.gap() ?? basis.open();
      if (open === null && isWhole) return basis.hypothesis();
      isWhole = open === null;
      if (open === null) continue;
      if ('node' in open && open.candidates.length === 0) continue;
      if ('node' in open) await this.#inquiry.ask([...open.node.access, ...this.#splitter(open.candidates)]);
      else await this.#fill(open);
    }
  }

  /** Asks an input in a state; where no status says what is reached, words that tell states apart follow at once. */
  async #fill({ state, input }: Gap): Promise<void> {
    const basis = this.#states;
    if (this.#splits !== basis.states.length) {
      this.#splits = basis.states.length;
      this.#split = this.#teacher.status === null ? this.#splitter(basis.states) : [];
    }
    await this.#inquiry.ask([...state.access, input], (node) => (basis.has(node) ? [] : this.#split));
  }

  /** The word that divides states into most groups, among those that tell two of them apart. */
  #splitter(states: readonly TreeNode[]): Word {
    let best: Word = [];
    let most = 1;
    for (const [at, a] of states.entries()) {
      for (const b of states.slice(at + 1)) {
        const word = witness(a, b)!;
        const groups = new Set(states.map((state) => shown(state, word).join('\n'))).size;
        if (groups > most || (groups === most && word.length < best.length)) [best, most] = [word, groups];
      }
    }
    return best;
  }

  /** Puts the words of an examination. Returns one that is answered otherwise, or null. */
  async #examine(hypothesis: Hypothesis): Promise<Word | null> {
    const { words, guarantee } = this.#words(hypothesis);
    for (const [done, word] of words.entries()) {
      this.#examination = { done, words: words.length };
      let state = 0;
      const asked: number[] = [];
      let agrees = true;
      await this.#inquiry.ask(word, undefined, (input, node, to) => {
        asked.push(input);
        agrees = hypothesis.agrees(state, input, node.outputs[input]!, to.sight);
        state = hypothesis.targets[state]![input]!;
        return agrees;
      });
      if (!agrees) {
        this.#examination = null;
        return asked;
      }
    }
    this.#guarantee = guarantee;
    return null;
  }

  #words(hypothesis: Hypothesis): { words: readonly Word[]; guarantee: string } {
    const { suspects } = this.#options;
    const suspicious = [...(suspects?.(hypothesis.mealy(this.#teacher)) ?? [])].map((word) =>
      this.#word(word),
    );
    const { words, guarantee } = examination(hypothesis.withSight(this.#teacher), SIGHT, this.#options);
    return { words: [...suspicious, ...words], guarantee };
  }

  /** The numbers of inputs. @throws RangeError for a name that no input has */
  #word(names: readonly string[]): Word {
    return names.map((name) => {
      const input = this.#teacher.inputs.indexOf(name);
      if (input < 0) throw new RangeError(`no input of words is called ${name}`);
      return input;
    });
  }

  #wasPut(hypothesis: Hypothesis, word: Word): boolean {
    let node = this.#inquiry.tree.root;
    let state = 0;
    for (const input of word) {
      const to: TreeNode | undefined = node.next[input];
      if (to === undefined || !hypothesis.agrees(state, input, node.outputs[input]!, to.sight)) return false;
      state = hypothesis.targets[state]![input]!;
      node = to;
    }
    return true;
  }

  /**
   * A word whose end the hypothesis takes for another state than it is. By halves, the suffix is moved behind the
   * states that the hypothesis sees on the way, until a node of the frontier is apart from what it was taken for.
   */
  async #takeApart(hypothesis: Hypothesis, contradiction: Word): Promise<void> {
    const { tree } = this.#inquiry;
    let word = this.#misleading(hypothesis, contradiction);
    while (word !== null) {
      const reached = this.#frontierAt(word);
      if (reached >= word.length) return;
      const half = (reached + word.length) >> 1;
      const [head, tail] = [word.slice(0, half), word.slice(half)];
      const state = hypothesis.states[hypothesis.after(head)]!;
      const told = witness(hypothesis.states[hypothesis.after(word)]!, tree.find(word)!)!;
      await this.#inquiry.ask([...state.access, ...tail, ...told]);
      const isApart = witness(state, tree.find(head)!) !== null;
      word = isApart ? head : this.#misleading(hypothesis, [...state.access, ...tail, ...told]);
    }
  }

  /** The shortest beginning of a word behind which the tree shows another state than the hypothesis. */
  #misleading(hypothesis: Hypothesis, word: Word): Word | null {
    let node = this.#inquiry.tree.root;
    for (const input of word) {
      const to: TreeNode | undefined = node.next[input];
      if (to === undefined) return null;
      node = to;
      const { access } = node;
      if (witness(hypothesis.states[hypothesis.after(access)]!, node) !== null) return access;
    }
    return null;
  }

  /** How many inputs of a word lead to the frontier. */
  #frontierAt(word: Word): number {
    let node = this.#inquiry.tree.root;
    for (const [at, input] of word.entries()) {
      if (!this.#states.has(node)) return at;
      node = node.next[input]!;
    }
    return word.length;
  }

  #told(): void {
    const { requests } = this.#teacher;
    const states = this.#basis?.states.length ?? 0;
    this.#options.progress?.({
      requests,
      words: this.#inquiry.words,
      states,
      examination: this.#examination,
    });
  }

  #result(reason: LearnEnd | null, nondeterminism: Nondeterminism | null): Learned {
    const { name, requests, resets, notes } = this.#teacher;
    this.#basis?.update();
    const hypothesis = this.#basis?.hypothesis() ?? null;
    const machine = hypothesis?.mealy(this.#teacher) ?? emptyMachine(this.#teacher);
    return {
      target: name,
      machine,
      inputs: machine.inputs,
      requests,
      resets,
      words: this.#inquiry.words,
      guarantee: reason === null ? this.#guarantee! : `none: ${this.#endWords(reason)}`,
      complete: reason === null,
      reason,
      nondeterminism,
      notes: [...notes, ...this.#notes],
      wasPut: (word) => hypothesis !== null && this.#wasPut(hypothesis, this.#word(word)),
    };
  }

  #endWords(reason: LearnEnd): string {
    const after = `after ${plural(this.#teacher.requests, 'request')}`;
    const words: Record<LearnEnd, string> = {
      budget: `the budget was used up ${after}`,
      interrupted: `learning was interrupted ${after}`,
      nondeterminism: 'the device answers the same word differently',
      lost: 'the device does not come back to where words begin',
    };
    const found = this.#basis?.states.length ?? 0;
    return `${words[reason]}; ${number(found)} states were found, and transitions may be missing`;
  }
}

function emptyMachine({ name, inputs, status }: Teacher): Mealy {
  const all = [...inputs, ...(status === null ? [] : [status])];
  return {
    name,
    states: ['initial'],
    inputs: all,
    outputs: [NOT_ASKED],
    next: new Int16Array(all.length),
    output: new Int16Array(all.length),
  };
}
