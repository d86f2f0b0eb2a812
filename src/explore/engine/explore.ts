import { type Model, ModelError, type Property } from '../model.js';
import type { Exploration, Incomplete, PropertyResult } from '../result.js';
import { decodeCheckpoint, encodeCheckpoint, fingerprint } from './checkpoint.js';
import { layoutOf } from './layout.js';
import { type Program, programOf } from './program.js';
import { Runs } from './runs.js';
import { Search } from './search.js';
import { actionOrbits, asymmetry } from './symmetry.js';
import { verdictOf } from './verdicts.js';

/** How a model is explored. */
export interface ExploreOptions {
  /** Ids of the properties that are looked at; the default is all. */
  readonly properties: readonly string[] | null;
  /** Bytes for states and their table, and for what `leadsTo` needs. */
  readonly memory: number;
  /** No more states are expanded once so many were reached; null: no bound. */
  readonly states: number | null;
  /** No states are expanded behind so many actions in a row; null: no bound. */
  readonly depth: number | null;
  /** Seconds of this run; null: no bound. */
  readonly time: number | null;
  /** Count states that differ in the order of identical members as one, where that is proven to be sound. */
  readonly symmetry: boolean;
  /** Hears how far the search is, some times a second. */
  readonly progress: ((progress: ExploreProgress) => void) | null;
  /** Ends the search: the result is `unknown`, interrupted. */
  readonly signal: AbortSignal | null;
  /** Takes the state of the search every so many seconds, and when a bound or an interrupt has ended it. */
  readonly checkpoint: Checkpointing | null;
  /** A checkpoint to go on from. */
  readonly resume: Uint8Array | null;
}

export interface Checkpointing {
  readonly seconds: number;
  save(parts: readonly Uint8Array[]): void | Promise<void>;
}

/** How far a search is. */
export interface ExploreProgress {
  readonly states: number;
  readonly edges: number;
  readonly depth: number;
  /** States that are reached and not expanded. */
  readonly frontier: number;
  readonly seconds: number;
  /** All states are known, and those of them that are named here were looked at for cycles that break a property. */
  readonly cycles: { readonly property: string; readonly checked: number } | null;
}

/** Bytes that a search may take when nothing else is said. */
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
 * property that does not hold comes with a shortest run that breaks it (`leadsTo`: with the shortest way to a cycle).
 * @throws ModelError for an unknown property, a value out of its range, and a checkpoint that does not fit
 */
export async function explore(model: Model, given: Partial<ExploreOptions> = {}): Promise<Exploration> {
  const options = { ...DEFAULTS, ...given };
  const properties = chosen(model, options.properties);
  return new Course({ ...model, properties }, options).explore();
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

/** One exploration, of a model with the properties that are looked at. */
class Course {
  readonly #started = seconds();
  #told = this.#started;
  #saved = this.#started;
  readonly #symmetric: boolean;
  readonly #watched: readonly Property[];
  readonly #program: Program;
  readonly #search: Search;
  readonly #runs: Runs;
  readonly #fingerprint: string;
  /** Seconds of the runs before this one. */
  #before = 0;

  constructor(
    readonly model: Model,
    readonly options: ExploreOptions,
  ) {
    this.#symmetric = options.symmetry && asymmetry(model) === null;
    const layout = layoutOf(model, this.#symmetric);
    this.#watched = model.properties.filter((each) => !('from' in each || 'everyAction' in each));
    this.#program = programOf(model, layout, this.#watched, options.memory);
    this.#search = new Search(this.#program, layout.initial);
    const orbits = this.#symmetric ? actionOrbits(model) : model.actions.map((_, index) => index);
    this.#runs = new Runs(this.#search, this.#program, layout.initial, orbits);
    this.#fingerprint = fingerprint(model, this.#symmetric);
    if (options.resume !== null) this.#resume(options.resume);
  }

  async explore(): Promise<Exploration> {
    const reason = await this.#toTheEnd();
    const { count: states, depth, bytes, edges } = this.#search;
    const taken = Math.max(this.#seconds(), 1e-6);
    const { results, early } = await this.#verdicts(reason);
    if (early && this.options.checkpoint !== null) await this.#save(this.options.checkpoint);
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
      edges,
      depth,
      properties: results,
      bounds: { memory, states: mostStates, depth: mostDepth, time, symmetry: this.#symmetric },
      statistics: {
        seconds: taken,
        bytesPerState: bytes / states,
        statesPerSecond: states / taken,
        edgesPerSecond: edges / taken,
        workers: 1,
      },
    };
  }

  async #toTheEnd(): Promise<Incomplete | null> {
    for (;;) {
      const stop = this.#stop();
      if (stop !== null) return stop;
      const end = this.#search.slice(this.options);
      if (end !== null) return end === 'done' ? null : end;
      await this.#turn(null);
    }
  }

  /** What was found of each property, and whether anything ended early. */
  async #verdicts(reason: Incomplete | null): Promise<{ results: PropertyResult[]; early: boolean }> {
    let early = reason !== null;
    const pause = async (property: string, checked: number): Promise<Incomplete | null> => {
      await this.#turn({ property, checked });
      const stop = this.#stop();
      early ||= stop !== null;
      return stop;
    };
    const ended = {
      model: this.model,
      watched: this.#watched,
      search: this.#search,
      program: this.#program,
      runs: this.#runs,
      memory: this.options.memory,
      reason,
      pause,
    };
    const results: PropertyResult[] = [];
    for (const property of this.model.properties) results.push(await verdictOf(property, ended));
    return { results, early };
  }

  #stop(): Incomplete | null {
    const { signal, time } = this.options;
    if (signal?.aborted) return 'interrupted';
    return time !== null && seconds() - this.#started >= time ? 'time' : null;
  }

  /** Signals, and whoever watches or saves, have their turn. */
  async #turn(cycles: ExploreProgress['cycles']): Promise<void> {
    const { checkpoint, progress } = this.options;
    await new Promise((resolve) => setImmediate(resolve));
    const now = seconds();
    if (progress !== null && now - this.#told >= PROGRESS_SECONDS) {
      this.#told = now;
      progress(this.#progress(cycles));
    }
    if (checkpoint !== null && now - this.#saved >= checkpoint.seconds) {
      await this.#save(checkpoint);
      this.#saved = seconds();
    }
  }

  #progress(cycles: ExploreProgress['cycles']): ExploreProgress {
    const { count, expanded, edges, depth } = this.#search;
    return { states: count, edges, depth, frontier: count - expanded, seconds: this.#seconds(), cycles };
  }

  #seconds(): number {
    return this.#before + seconds() - this.#started;
  }

  async #save(checkpoint: Checkpointing): Promise<void> {
    const { shown, fired } = this.#program;
    const saved = {
      model: this.#fingerprint,
      position: this.#search.position,
      shown: [...shown],
      fired: [...fired],
      seconds: this.#seconds(),
    };
    await checkpoint.save(encodeCheckpoint(saved, this.#search.words()));
  }

  #resume(bytes: Uint8Array): void {
    const { saved, states } = decodeCheckpoint(bytes, this.model, this.#fingerprint, this.#program.words);
    const needed = this.#search.bytesAt(saved.position);
    if (needed > this.options.memory)
      throw new ModelError(
        `the checkpoint has ${saved.position.count} states, which need ${needed} bytes; the bound of memory is ${this.options.memory}`,
      );
    this.#search.restore(saved.position, states);
    this.#program.shown.set(saved.shown);
    this.#program.fired.set(saved.fired);
    this.#before = saved.seconds;
  }
}
