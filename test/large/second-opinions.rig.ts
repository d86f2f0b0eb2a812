import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { explore } from '../../src/explore/engine/explore.js';
import { promelaProperties } from '../../src/explore/exports/promela.js';
import type { Model, ModelEntry, ModelOptions } from '../../src/explore/model.js';
import { MODELS } from '../../src/explore/models/index.js';
import { modelOptions } from '../../src/explore/models/options.js';
import {
  engineOpinion,
  type Opinion,
  secondOpinions,
  silent,
  sizeText,
  twoSizes,
} from '../explore/exports/opinions.js';
import { everything, logged, mayStay, response } from '../explore/exports/small-models.js';
import { brokenBySpin, whyNot } from '../explore/exports/spin.js';
import { randomModel } from '../explore/random-models.js';

/**
 * Every shipped model, as others see it: Spin, a C search, the plain explorer on XState's steps, the TLA+ that
 * is exported, and XState's own exploration. States, edges and verdicts have to be the engine's.
 */

const why = await whyNot('spin', 'cc');
const title = (text: string): string => (why === null ? text : `${text} (${why})`);
/** What Spin does in seconds, with each property. */
const MOST_STATES = Number(process.env.STOPCOPY_OPINION_STATES ?? 300_000);
const RANDOM = Number(process.env.STOPCOPY_OPINION_RANDOM ?? 20);

function line(opinion: Opinion): string {
  const number = (value: number | undefined, width: number) => String(value ?? '').padStart(width);
  return [
    opinion.by.padEnd(8),
    number(opinion.states, 9),
    number(opinion.edges, 10),
    number(opinion.depth, 6),
    `${opinion.seconds.toFixed(2).padStart(8)} s`,
    opinion.broken?.join(' ') ?? '',
  ].join(' ');
}

async function compare(model: Model, name: string): Promise<void> {
  const ours = await engineOpinion(model);
  const lines = [name, `${'by'.padEnd(8)}    states      edges  depth     time  broken`, line(ours)];
  const others: Opinion[] = [];
  for await (const other of secondOpinions(model, ours.states)) {
    others.push(other);
    lines.push(line(other));
  }
  console.log(lines.join('\n'));
  // By symmetry there are fewer states, and the same verdicts.
  const { properties } = await explore(model);
  const broken = properties.filter(({ verdict }) => verdict === 'violated').map(({ id }) => id);
  expect(broken.sort()).toEqual(ours.broken);
  for (const other of others) {
    expect({ by: other.by, states: other.states, edges: other.edges }).toEqual({
      by: other.by,
      states: ours.states,
      edges: ours.edges,
    });
    if (other.depth !== undefined) expect(other.depth).toBe(ours.depth);
    if (other.broken === undefined) continue;
    const unheard = silent(model, other.by);
    expect({ by: other.by, broken: other.broken }).toEqual({
      by: other.by,
      broken: ours.broken.filter((id) => !unheard.includes(id)),
    });
  }
}

describe.skipIf(why !== null)(title('models of the tests'), () => {
  test.each([
    ['logged', logged()],
    ['logged, mutant', logged(true)],
    ['everything', everything()],
    ['response', response()],
    ['may stay', mayStay()],
  ])('%s', async (name, model) => compare(model, name));
});

describe.skipIf(why !== null)(title('random models'), () => {
  const models = fc.sample(randomModel, { numRuns: RANDOM, seed: 1 });
  test.each(models.map((model, index) => [index, model] as const))('%i', async (index, model) =>
    compare(model, `random ${index}`),
  );
});

describe.skipIf(why !== null || MODELS.length === 0)(title('shipped models'), () => {
  for (const entry of MODELS) {
    test(`${entry.name}: the same states, edges and verdicts at two sizes`, {
      timeout: 3_600_000,
    }, async () => {
      const sizes = await twoSizes(entry, MOST_STATES);
      expect(sizes.length).toBe(2);
      for (const options of sizes) await compare(entry.make(options), `${entry.name}: ${sizeText(options)}`);
    });

    test(`${entry.name}: Spin, too, finds what each variant breaks`, { timeout: 3_600_000 }, async () => {
      const missed: string[] = [];
      for (const { name, breaks } of entry.variants) {
        const model = await smallest(entry, name, breaks);
        for (const property of promelaProperties(model).filter(({ id }) => breaks.includes(id)))
          if (!(await brokenBySpin(model, property))) missed.push(`${name}: ${property.id}`);
      }
      expect(missed).toEqual([]);
    });
  }
});

/** A variant at the least size at which the engine finds all that it breaks. */
async function smallest(entry: ModelEntry, variant: string, breaks: readonly string[]): Promise<Model> {
  const least = Object.fromEntries(
    Object.entries(entry.ranges).map(([name, range]) => [name, range.least]),
  ) as Partial<ModelOptions>;
  const needed = entry.variants.find(({ name }) => name === variant)?.options ?? {};
  const model = entry.make(modelOptions(entry, { ...least, ...needed, variant }));
  const { broken } = await engineOpinion(model);
  return breaks.every((id) => broken.includes(id)) ? model : entry.make(modelOptions(entry, { variant }));
}
