import type { Expression } from '../expression.js';
import { type Model, ModelError, type Property } from '../model.js';
import type { Exploration, Incomplete, Path, PropertyResult } from '../result.js';
import { decodeCheckpoint, encodeCheckpoint, fingerprint } from './checkpoint.js';
import { layoutOf } from './layout.js';
import { leadsTo } from './leads-to.js';
import { type Program, programOf, type Watched } from './program.js';
import { Search } from './search.js';
import { actionOrbits, asymmetry } from './symmetry.js';

/** How a model is explored. */
export interface ExploreOptions {
  /** Ids of the properties that are looked at; the default is all. */
  readonly properties: readonly string[] | null;
  /** Bytes for states and their table. */
  readonly memory: number;
  /** Bounds: states, actions in a row, seconds; null: none. */
  readonly states: number | null;
  readonly depth: number | null;
  readonly time: number | null;
  /** Count states that differ in the order of identical members as one, where that is proven to be sound. */
  readonly symmetry: boolean;
  /** Hears how far the search is, some times a second. */
  readonly progress: ((progress: ExploreProgress) => void) | null;
  /** Ends the search: the result is `unknown`, interrupted. */
  readonly signal: AbortSignal | null;
  /** Takes the state of the search every so many seconds, and when a bound has ended it. */
  readonly checkpoint: Checkpointing | null;
  /** A checkpoint to go on from. */
  readonly resume: Uint8Array | null;
}

export interface Checkpointing {
  readonly seconds: number;
  save(parts: readonly Uint8Array[]): void | Promise<void>;
}

export interface ExploreProgress {
  readonly states: number;
  readonly edges: number;
  readonly depth: number;
  /** States that are reached and not expanded. */
  readonly frontier: number;
  readonly seconds: number;
}

export const DEFAULT_MEMORY = 2 * 2 ** 30;
const DEFAULTS: ExploreOptions = {
  properties: null,
  memory: DEFAULT_MEMORY,
  states: null,
  depth: null,
  time: null,
  symmetry: true,
  progress: null,
  signal: null,
  checkpoint: null,
  resume: null,
};

const PROGRESS_SECONDS = 0.2;

/**
 * Explores every state that a model can reach, breadth first, and decides its properties. Keys are exact. A
 * property that does not hold comes with a shortest run that breaks it.
 * @throws ModelError for an unknown property, a value out of its range, and a checkpoint that does not fit
 */
export async function explore(model: Model, given: Partial<ExploreOptions> = {}): Promise<Exploration> {
  const options = { ...DEFAULTS, ...given };
  const properties = chosen(model, options.properties);
  return new Run(model, properties, options).explore();
}

function chosen(model: Model, ids: readonly string[] | null): Property[] {
  if (ids === null) return [...model.properties];
  const known = model.properties.map((each) => each.id);
  for (const id of ids)
    if (!known.includes(id))
      throw new ModelError(`${model.name} has no property '${id}'; it has ${known.join(', ')}`);
  return model.properties.filter((each) => ids.includes(each.id));
}

const seconds = (): number => performance.now() / 1000;

/** One exploration. */
class Run {
  readonly #started = seconds();
  readonly #symmetric: boolean;
  readonly #watched: Watched;
  readonly #program: Program;
  readonly #search: Search;
  readonly #fingerprint: string;
  /** Seconds of the runs before this one. */
  #before = 0;

  constructor(
    readonly model: Model,
    readonly properties: readonly Property[],
    readonly options: ExploreOptions,
  ) {
    this.#symmetric = options.symmetry && asymmetry(model) === null;
    const layout = layoutOf(model, this.#symmetric);
    const deadlock = properties.find((each) => 'deadlockUnless' in each);
    this.#watched = {
      states: properties.filter((each) => 'of' in each),
      steps: properties.filter((each) => 'step' in each),
      legalEnd: deadlock && 'deadlockUnless' in deadlock ? deadlock.deadlockUnless : null,
    };
    this.#program = programOf(model, layout, this.#watched);
    this.#search = new Search(this.#program, layout.initial);
    this.#fingerprint = fingerprint(
      model,
      properties.map((each) => each.id),
      this.#symmetric,
    );
    if (options.resume !== null) this.#resume(options.resume);
  }

  async explore(): Promise<Exploration> {
    const reason = await this.#toTheEnd();
    if (reason !== null && this.options.checkpoint !== null) await this.#save(this.options.checkpoint);
    const results: PropertyResult[] = [];
    const { states, depth, seconds: taken, bytes } = this.#measured();
    for (const property of this.properties) results.push(await this.#resultOf(property, reason));
    const violated = results.some((each) => each.verdict === 'violated');
    const unknown = reason !== null || results.some((each) => each.verdict === 'unknown');
    const { memory, states: mostStates, depth: mostDepth, time } = this.options;
    return {
      model: this.model.name,
      options: this.model.options,
      verdict: violated ? 'violated' : unknown ? 'unknown' : 'holds',
      complete: reason === null,
      reason,
      states,
      edges: this.#search.edges,
      depth,
      properties: results,
      bounds: { memory, states: mostStates, depth: mostDepth, time, symmetry: this.#symmetric },
      statistics: {
        seconds: taken,
        bytesPerState: bytes / states,
        statesPerSecond: states / taken,
        edgesPerSecond: this.#search.edges / taken,
        workers: 1,
      },
    };
  }

  #measured() {
    const { count, depth, bytes } = this.#search;
    return { states: count, depth, bytes, seconds: Math.max(this.#seconds(), 1e-6) };
  }

  #seconds(): number {
    return this.#before + seconds() - this.#started;
  }

  async #toTheEnd(): Promise<Incomplete | null> {
    const { time, checkpoint, progress, signal } = this.options;
    let told = this.#started;
    let saved = this.#started;
    for (;;) {
      if (signal?.aborted) return 'interrupted';
      if (time !== null && seconds() - this.#started >= time) return 'time';
      const end = this.#search.slice(this.options);
      if (end !== null) return end === 'done' ? null : end;
      // Signals and whoever watches have their turn.
      await new Promise((resolve) => setImmediate(resolve));
      const now = seconds();
      if (progress !== null && now - told >= PROGRESS_SECONDS) {
        told = now;
        progress(this.#progress());
      }
      if (checkpoint !== null && now - saved >= checkpoint.seconds) {
        await this.#save(checkpoint);
        saved = seconds();
      }
    }
  }

  #progress(): ExploreProgress {
    const { count, expanded, edges, depth } = this.#search;
    return { states: count, edges, depth, frontier: count - expanded, seconds: this.#seconds() };
  }

  async #save(checkpoint: Checkpointing): Promise<void> {
    const { shown, stepState, fired } = this.#program;
    const saved = {
      model: this.#fingerprint,
      position: this.#search.position,
      shown: [...shown],
      stepState: [...stepState],
      fired: [...fired],
      seconds: this.#seconds(),
    };
    await checkpoint.save(encodeCheckpoint(saved, this.#search.words()));
  }

  #resume(bytes: Uint8Array): void {
    const { saved, words } = decodeCheckpoint(bytes, this.model, this.#fingerprint, this.#program.words);
    this.#search.restore(saved.position, words);
    this.#program.shown.set(saved.shown);
    this.#program.stepState.set(saved.stepState);
    this.#program.fired.set(saved.fired);
    this.#before = saved.seconds;
  }

  async #resultOf(property: Property, reason: Incomplete | null): Promise<PropertyResult> {
    const { id, kind, words } = property;
    const base = { id, kind, words, reason: null, counterexample: null, witness: null };
    const open = (): PropertyResult =>
      reason === null
        ? { ...base, verdict: 'holds' }
        : { ...base, verdict: 'unknown', reason: `not decided: the search ended early (${reason})` };
    if ('everyAction' in property) return this.#everyAction(base, reason);
    if ('from' in property) return this.#response(property, base, reason);
    const broken = this.#broken(property);
    if (kind !== 'sometimes')
      return broken === null ? open() : { ...base, verdict: 'violated', counterexample: broken };
    if (broken !== null) return { ...base, verdict: 'holds', witness: broken };
    return reason === null ? { ...base, verdict: 'violated', reason: 'no run comes there' } : open();
  }

  /** A shortest run that shows what the property is about, or null. */
  #broken(property: Property): Path | null {
    if ('deadlockUnless' in property)
      return this.#search.dead < 0 ? null : this.#path(this.#search.dead, 'deadlock');
    if ('step' in property) {
      const state = this.#program.stepState[this.#watched.steps.indexOf(property)]!;
      return state < 0 ? null : this.#stepPath(state, property.step, property.when);
    }
    const state = this.#program.shown[this.#watched.states.indexOf(property)]!;
    return state < 0 ? null : this.#path(state, 'state');
  }

  #path(state: number, end: Path['end']): Path {
    return { actions: this.#names(this.#search.pathTo(state)), end, loop: null };
  }

  /** The run to a state, and the action there that has the label: looked up in the state as the run reaches it. */
  #stepPath(state: number, label: string, when: Expression): Path {
    const { actions, end } = this.#search.walkTo(state);
    if (!this.#program.predicate(when)(end, 0)) throw new Error('a step that was seen is not there');
    const count = this.#program.expandConcrete(end, 0);
    const last = [...this.#program.acts.subarray(0, count)].find((action) =>
      this.model.actions[action]!.labels.includes(label),
    )!;
    return { actions: this.#names([...actions, last]), end: 'step', loop: null };
  }

  #names(actions: readonly number[]): string[] {
    return actions.map((action) => this.model.actions[action]!.name);
  }

  #everyAction(base: Omit<PropertyResult, 'verdict'>, reason: Incomplete | null): PropertyResult {
    const dead = this.#neverHappened();
    if (dead.length === 0) return { ...base, verdict: 'holds' };
    const names = dead.join('; ');
    if (reason !== null)
      return {
        ...base,
        verdict: 'unknown',
        reason: `not seen before the search ended early (${reason}): ${names}`,
      };
    return { ...base, verdict: 'violated', reason: `never happens: ${names}` };
  }

  /** An action happens when one happens that it becomes by an exchange of equal members. */
  #neverHappened(): string[] {
    const { fired } = this.#program;
    const orbit = this.#symmetric ? actionOrbits(this.model) : this.model.actions.map((_, index) => index);
    const seen = new Set(orbit.filter((_, index) => fired[index] === 1));
    return this.model.actions.filter((_, index) => !seen.has(orbit[index]!)).map(({ name }) => name);
  }

  async #response(
    property: Property & { kind: 'leadsTo' },
    base: Omit<PropertyResult, 'verdict'>,
    reason: Incomplete | null,
  ): Promise<PropertyResult> {
    if (reason !== null)
      return { ...base, verdict: 'unknown', reason: `not decided: the search ended early (${reason})` };
    const lasso = leadsTo(this.#search, {
      from: this.#search.predicate(property.from),
      to: this.#search.predicate(property.to),
      fair: property.fairness.map((label) =>
        this.model.actions.flatMap((action, index) => (action.labels.includes(label) ? [index] : [])),
      ),
    });
    if (lasso === null) return { ...base, verdict: 'holds' };
    if (this.#symmetric) return this.#concretely(property);
    const { path, loop } = lasso;
    return {
      ...base,
      verdict: 'violated',
      counterexample: { actions: this.#names(path), end: 'cycle', loop },
    };
  }

  /**
   * A cycle of states that stand for their orders may come back with members exchanged, so the run to show is
   * looked for in the model as it is.
   */
  async #concretely(property: Property): Promise<PropertyResult> {
    const options = { ...this.options, symmetry: false, checkpoint: null, resume: null };
    const { properties } = await new Run(this.model, [property], options).explore();
    return properties[0]!;
  }
}
