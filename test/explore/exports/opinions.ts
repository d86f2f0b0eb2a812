import { explore } from '../../../src/explore/engine/explore.js';
import { promelaProperties } from '../../../src/explore/exports/promela.js';
import { toTla } from '../../../src/explore/exports/tla.js';
import type { Model, ModelEntry, ModelOptions } from '../../../src/explore/model.js';
import { modelOptions } from '../../../src/explore/models/options.js';
import { exploreNaively } from '../naive.js';
import { runCSearch } from './c-run.js';
import { brokenBySpin, runSpin } from './spin.js';
import { exploreTla, readTla } from './tla-reader.js';
import { brokenByTla } from './tla-verdicts.js';
import { exploreByXState } from './xstate-graph.js';

/** What one explorer says of a model; what it cannot say is left out. */
export interface Opinion {
  readonly by: string;
  readonly states: number;
  readonly edges: number;
  readonly depth?: number;
  /** Ids of the broken properties that it has a word on, sorted. */
  readonly broken?: readonly string[];
  readonly seconds: number;
}

/** Up to how many states each of the slow ones is asked. */
export const SMALL = { naive: 50_000, tla: 5_000, xstate: 10_000 } as const;

const leadsTo = (model: Model) => model.properties.filter((each) => each.kind === 'leadsTo');
const everyAction = (model: Model) => model.properties.filter((each) => 'everyAction' in each);

/** The ids that a slow explorer has no word on. */
export function silent(model: Model, by: string): string[] {
  const ids = (properties: readonly { id: string }[]) => properties.map(({ id }) => id);
  if (by === 'naive') return ids(leadsTo(model));
  return by === 'tla' ? ids(everyAction(model)) : [];
}

/** The engine's own: every state one by one, as all others see them. */
export async function engineOpinion(model: Model): Promise<Opinion & { broken: readonly string[] }> {
  const found = await explore(model, { symmetry: false, memory: 4 * 2 ** 30 });
  if (!found.complete) throw new Error(`${model.name}: the engine did not see everything: ${found.reason}`);
  const broken = found.properties.filter(({ verdict }) => verdict === 'violated').map(({ id }) => id);
  const { states, edges, depth, statistics } = found;
  return { by: 'engine', states, edges, depth, broken: broken.sort(), seconds: statistics.seconds };
}

/** All opinions that can be had on a model of so many states, with Spin's verdict on each property. */
export async function* secondOpinions(model: Model, states: number): AsyncGenerator<Opinion> {
  yield spinOpinion(model, states);
  yield timed('C', async () => runCSearch(model));
  if (states <= SMALL.naive)
    yield timed('naive', async () => {
      const { broken, ...found } = exploreNaively(model, SMALL.naive);
      return { ...found, broken: [...broken.keys()].sort() };
    });
  if (states <= SMALL.tla)
    yield timed('tla', async () => {
      const { module, config } = toTla(model);
      return { ...exploreTla(readTla(module), config), broken: brokenByTla(model) };
    });
  if (states <= SMALL.xstate) yield timed('xstate', async () => exploreByXState(model));
}

async function spinOpinion(model: Model, expected: number): Promise<Opinion> {
  // The compiler takes longer than the search of a small model.
  const limits = expected < 20_000 ? { depth: 500_000, table: 18, flags: ['-O0'] } : {};
  const { states, edges, seconds } = await runSpin(model, undefined, limits);
  const broken: string[] = [];
  for (const property of promelaProperties(model))
    if (await brokenBySpin(model, property, limits)) broken.push(property.id);
  return { by: 'Spin', states, edges, broken: broken.sort(), seconds };
}

async function timed(by: string, work: () => Promise<Omit<Opinion, 'by' | 'seconds'>>): Promise<Opinion> {
  const begun = performance.now();
  const found = await work();
  return { seconds: (performance.now() - begun) / 1000, ...found, by };
}

/** The two largest sizes of a model that have at most so many states; fewer when there are none. */
export async function twoSizes(entry: ModelEntry, most: number): Promise<ModelOptions[]> {
  const fitting: { options: ModelOptions; states: number }[] = [];
  for (const options of sizesOf(entry)) {
    const states = await countUpTo(entry.make(options), most);
    if (states !== null) fitting.push({ options, states });
  }
  fitting.sort((a, b) => a.states - b.states);
  return fitting.slice(-2).map(({ options }) => options);
}

/** Every size that a model has. */
function sizesOf(entry: ModelEntry): ModelOptions[] {
  let sizes: Partial<ModelOptions>[] = [{}];
  for (const name of ['devices', 'pages', 'faults'] as const) {
    const range = entry.ranges[name];
    if (range === undefined) continue;
    const values = Array.from({ length: range.most - range.least + 1 }, (_, index) => range.least + index);
    sizes = sizes.flatMap((size) => values.map((value) => ({ ...size, [name]: value })));
  }
  return sizes.map((size) => modelOptions(entry, size));
}

async function countUpTo(model: Model, most: number): Promise<number | null> {
  const { complete, states } = await explore(model, { symmetry: false, states: most, properties: [] });
  return complete ? states : null;
}

export const sizeText = ({ devices, pages, faults }: ModelOptions): string =>
  `devices ${devices}, pages ${pages}, faults ${faults}`;
