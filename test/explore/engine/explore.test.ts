import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ModelBuilder } from '../../../src/explore/builder.js';
import { replay } from '../../../src/explore/counterexample/replay.js';
import { type ExploreOptions, type ExploreProgress, explore } from '../../../src/explore/engine/explore.js';
import { type Expression, minus, plus } from '../../../src/explore/expression.js';
import { type Model, ModelError, type Property } from '../../../src/explore/model.js';
import type { Exploration } from '../../../src/explore/result.js';
import { benchmarkModel } from '../benchmark-model.js';
import { exploreNaively } from '../naive.js';
import { randomModel } from '../random-models.js';
import { widened } from './widened.js';

const concrete = { symmetry: false };

/**
 * Properties with their verdicts and the lengths of what they show. Of cycles only the verdict: one that comes
 * back with members exchanged is followed again.
 */
const verdicts = ({ properties }: Exploration) =>
  properties.map(({ id, kind, verdict, counterexample, witness }) => ({
    id,
    verdict,
    length: kind === 'leadsTo' ? null : (counterexample ?? witness)?.actions.length,
  }));

/** What the machines say to the runs that were found. */
const problems = (model: Model, { properties }: Exploration): (string | null)[] =>
  properties.flatMap(({ id, counterexample, witness }) => {
    const path = counterexample ?? witness;
    const property = model.properties.find((each) => each.id === id)!;
    return path === null ? [] : [replay(model, property, path).problem];
  });

/** Models whose states are of one word, of two, and of more. */
const models = fc.tuple(randomModel, fc.constantFrom(0, 5, 12)).map(([model, more]) => widened(model, more));

test('a search finds what the plain explorer finds, as fast', async () => {
  await fc.assert(
    fc.asyncProperty(models, async (model) => {
      const plain = exploreNaively(model);
      const found = await explore(model, concrete);
      expect([found.states, found.edges, found.depth]).toEqual([plain.states, plain.edges, plain.depth]);
      for (const { id, kind, verdict, counterexample } of found.properties) {
        if (kind === 'leadsTo') continue;
        expect([id, verdict]).toEqual([id, plain.broken.has(id) ? 'violated' : 'holds']);
        expect([id, counterexample?.actions.length]).toEqual([id, plain.broken.get(id)?.length]);
      }
    }),
    { numRuns: 200 },
  );
});

test('with members exchanged every verdict and every length is the same, in no more states', async () => {
  await fc.assert(
    fc.asyncProperty(models, async (model) => {
      const plain = await explore(model, concrete);
      const reduced = await explore(model);
      expect(reduced.bounds.symmetry).toBe(model.options.devices > 1);
      expect(reduced.states).toBeLessThanOrEqual(plain.states);
      expect(verdicts(reduced)).toEqual(verdicts(plain));
      expect(reduced.depth).toBe(plain.depth);
    }),
    { numRuns: 200 },
  );
});

test('every run that is shown is one of the machines, and shows it', async () => {
  await fc.assert(
    fc.asyncProperty(models, fc.boolean(), async (model, symmetry) => {
      for (const problem of problems(model, await explore(model, { symmetry }))) expect(problem).toBe(null);
    }),
    { numRuns: 200 },
  );
});

test('several properties of one kind are each found', async () => {
  const model = benchmarkModel(1, 2);
  const halting = { ...model, actions: model.actions.filter(({ name }) => name.startsWith('log')) };
  const ends: Property[] = [0, 1].map((of) => ({
    id: `end-${of}`,
    words: 'An end.',
    kind: 'never',
    deadlockUnless: of,
  }));
  const { properties } = await explore({ ...halting, properties: ends });
  expect(properties.map(({ verdict }) => verdict)).toEqual(['violated', 'holds']);
  expect(properties[0]!.counterexample).toEqual({ actions: [], end: 'deadlock', loop: null });
});

test('a value out of its range is refused by name; numbers below zero may stand in an expression', async () => {
  const make = (to: Expression) => {
    const model = new ModelBuilder('small', 'Small', benchmarkModel(1, 1).options);
    const one = model.variable('one', 'a number', 2, 1);
    model.action('a: leap', { set: [one.to(to)] });
    return model.build();
  };
  const one = { variable: 'one' };
  await expect(explore(make(plus(one, 1)))).rejects.toThrow(
    new ModelError("small: 'a: leap' sets one to 3; it holds 0 to 2"),
  );
  await expect(explore(make(minus(one, 2)))).rejects.toThrow('sets one to -1');
  expect((await explore(make(minus(plus(one, -1), -1)))).states).toBe(1);
});

test('known sizes', async () => {
  const sizes = async (model: Model, options: Partial<ExploreOptions>) => {
    const { states, edges, depth } = await explore(model, options);
    return [states, edges, depth];
  };
  expect(await sizes(benchmarkModel(1, 2), concrete)).toEqual([312, 3200, 12]);
  expect(await sizes(benchmarkModel(2, 3), concrete)).toEqual([3328, 57_956, 17]);
  expect(await sizes(benchmarkModel(3, 10), concrete)).toEqual([73_216, 1_812_427, 28]);
  expect(await sizes(benchmarkModel(3, 10), {})).toEqual([17_160, 424_796, 28]);
});

/** With a property that is about cycles. */
function live(model: Model): Model {
  const completed: Expression = { op: '==', of: [{ variable: 'phase' }, 4] };
  const property = {
    id: 'ends',
    words: 'It completes.',
    kind: 'leadsTo',
    from: 1,
    to: completed,
    fairness: [],
  } as const;
  return { ...model, properties: [...model.properties, property] };
}

describe('a bound', () => {
  const model = benchmarkModel(3, 10);
  const open = { verdict: 'unknown', complete: false };

  test('of memory is kept, and nothing is said to hold', async () => {
    const memory = 4 * 2 ** 20;
    const result = await explore(benchmarkModel(4, 20), { ...concrete, memory });
    expect(result).toMatchObject({ ...open, reason: 'memory' });
    expect(result.statistics.bytesPerState * result.states).toBeLessThanOrEqual(memory);
    expect(result.states).toBeGreaterThan(100_000);
    expect(result.properties.map(({ id, verdict }) => [id, verdict])).toEqual([
      ['all-in-error', 'unknown'],
      ['completes', 'holds'],
      ['no-deadlock', 'unknown'],
      ['every-event-happens', 'holds'],
    ]);
  });

  test('of memory is kept whatever it is, by states of any width', async () => {
    for (const ballast of [0, 5, 12])
      for (const memory of [100_000, 1_000_000, 4_000_000]) {
        const model = widened(benchmarkModel(4, 20), ballast);
        const { statistics, states, reason } = await explore(model, { ...concrete, memory });
        expect(reason).toBe('memory');
        expect(statistics.bytesPerState * states).toBeLessThanOrEqual(memory);
        expect(statistics.bytesPerState * states).toBeGreaterThan(memory / 4);
      }
  });

  test('of memory also holds where cycles are looked for', async () => {
    const model = live(benchmarkModel(3, 10));
    expect(await explore(model, concrete)).toMatchObject({ verdict: 'violated', complete: true });
    const { states } = await explore(model, concrete);
    const narrow = await explore(model, { ...concrete, memory: 1_700_000 });
    expect(narrow).toMatchObject({ verdict: 'unknown', complete: true, states });
    expect(narrow.properties.at(-1)).toMatchObject({
      verdict: 'unknown',
      reason: expect.stringContaining('all states are known, but the bound of memory'),
    });
  });

  test('of states, depth and time', async () => {
    const few = await explore(model, { states: 1000 });
    expect(few).toMatchObject({ ...open, reason: 'states' });
    // The successors of the last state that is expanded go beyond.
    expect(few.states).toBeGreaterThanOrEqual(1000);
    expect(few.states).toBeLessThan(1000 + model.actions.length);
    expect(await explore(model, { depth: 0 })).toMatchObject({
      ...open,
      reason: 'depth',
      states: 1,
      edges: 0,
    });
    const shallow = await explore(model, { ...concrete, depth: 3 });
    expect(shallow).toMatchObject({ ...open, reason: 'depth', depth: 3 });
    expect(await explore(benchmarkModel(4, 60), { ...concrete, time: 0 })).toMatchObject({ reason: 'time' });
  });

  test('is not hit by a search that ends before it', async () => {
    // The states at depth 28 have to be expanded before it is known that there are none behind them.
    expect(await explore(model, { depth: 28 })).toMatchObject({ ...open, depth: 28 });
    expect(await explore(model, { depth: 29 })).toMatchObject({ verdict: 'holds', complete: true });
  });
});

test('an interrupt ends it', async () => {
  const signal = AbortSignal.abort();
  expect(await explore(benchmarkModel(3, 10), { signal })).toMatchObject({
    verdict: 'unknown',
    reason: 'interrupted',
  });
});

test('progress is told, of states and then of cycles, and an interrupt is heard there', async () => {
  const model = live(benchmarkModel(4, 20));
  const told: ExploreProgress[] = [];
  const stop = new AbortController();
  const progress = (each: ExploreProgress) => {
    told.push(each);
    if (each.cycles !== null) stop.abort();
  };
  const result = await explore(model, { ...concrete, progress, signal: stop.signal });
  expect(result).toMatchObject({ verdict: 'unknown', complete: true, reason: null });
  expect(result.properties.at(-1)).toMatchObject({
    id: 'ends',
    verdict: 'unknown',
    reason: expect.stringContaining('an interrupt ended the search for a cycle'),
  });
  const searching = told.filter(({ cycles }) => cycles === null);
  expect(searching.length).toBeGreaterThan(1);
  expect(searching.map(({ states }) => states)).toEqual(
    searching.map(({ states }) => states).sort((a, b) => a - b),
  );
  expect(told.at(-1)!.cycles).toMatchObject({ property: 'ends' });
  expect(told.at(-1)).toMatchObject({ states: result.states, frontier: 0 });
});

test('an unknown property is refused', async () => {
  await expect(explore(benchmarkModel(1, 1), { properties: ['complete'] })).rejects.toThrow(
    "benchmark has no property 'complete'; it has all-in-error",
  );
});
