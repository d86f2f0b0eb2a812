import { describe, expect, test } from 'vitest';
import { ModelBuilder } from '../../../src/explore/builder.js';
import { minus } from '../../../src/explore/expression.js';
import { exploreNaively } from '../naive.js';
import { runCSearch } from './c-run.js';
import { everything, logged, response } from './small-models.js';
import { whyNot } from './spin.js';

const why = await whyNot('cc');

describe.skipIf(why !== null)(why === null ? 'the C search' : `the C search (${why})`, () => {
  test.each([
    ['logged, mutant', logged(true)],
    ['everything', everything()],
    ['everything, in states of two words', everything(9)],
    ['response', response()],
  ])('%s: counts the same states, edges and depth', async (_, model) => {
    const { states, edges, depth } = exploreNaively(model);
    expect(await runCSearch(model)).toMatchObject({ states, edges, depth });
  });

  test('ends with an error where a variable leaves its range', async () => {
    const model = new ModelBuilder('range', 'Range', {
      devices: 0,
      pages: 0,
      faults: 0,
      capabilities: [],
      variant: null,
    });
    const count = model.variable('count', 'a count', 1);
    model.action('less', { set: [count.to(minus(count, 1))] });
    await expect(runCSearch(model.build())).rejects.toThrow('less sets count to -1');
  });

  test('ends with an error at more states than asked for', async () => {
    await expect(runCSearch(logged(), { most: 2 })).rejects.toThrow('more than 2 states');
  });
});
