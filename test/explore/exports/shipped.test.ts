import { describe, expect, test } from 'vitest';
import { toTla } from '../../../src/explore/exports/tla.js';
import type { ModelEntry, ModelOptions } from '../../../src/explore/model.js';
import { MODELS } from '../../../src/explore/models/index.js';
import { modelOptions } from '../../../src/explore/models/options.js';
import { engineOpinion, SMALL, silent } from './opinions.js';
import { exploreTla, readTla } from './tla-reader.js';
import { brokenByTla } from './tla-verdicts.js';
import { exploreByXState } from './xstate-graph.js';

/** The opinions that need no other program; test/large/second-opinions.rig.ts has all, at two sizes. */

const least = (entry: ModelEntry): Partial<ModelOptions> =>
  Object.fromEntries(Object.entries(entry.ranges).map(([name, range]) => [name, range.least]));

describe.each(MODELS)('$name, at its least size', (entry) => {
  const model = entry.make(modelOptions(entry, least(entry)));

  test('has the same states, edges and verdicts in TLA+', async (context) => {
    const { states, edges, broken } = await engineOpinion(model);
    if (states > SMALL.tla) context.skip(`it has ${states} states`);
    const { module, config } = toTla(model);
    expect(exploreTla(readTla(module), config)).toMatchObject({ states, edges });
    const unheard = silent(model, 'tla');
    expect(brokenByTla(model)).toEqual(broken.filter((id) => !unheard.includes(id)));
  });

  test("has the same states and edges by XState's own exploration", async (context) => {
    const { states, edges } = await engineOpinion(model);
    if (states > 2_000) context.skip(`it has ${states} states`);
    expect(exploreByXState(model)).toEqual({ states, edges });
  });
});
