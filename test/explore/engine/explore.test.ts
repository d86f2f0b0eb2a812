import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ExploreOptions, explore } from '../../../src/explore/engine/explore.js';
import { asymmetry } from '../../../src/explore/engine/symmetry.js';
import { type Model, ModelError } from '../../../src/explore/model.js';
import type { Exploration } from '../../../src/explore/result.js';
import { benchmarkModel } from '../benchmark-model.js';
import { exploreNaively } from '../naive.js';
import { randomModel } from '../random-models.js';

const concrete = { symmetry: false };

/** Properties with their verdicts and the lengths of what they show. */
const verdicts = ({ properties }: Exploration) =>
  properties.map(({ id, verdict, counterexample, witness }) => ({
    id,
    verdict,
    length: (counterexample ?? witness)?.actions.length,
  }));

test('a search finds what the plain explorer finds, as fast', async () => {
  await fc.assert(
    fc.asyncProperty(randomModel, async (model) => {
      const plain = exploreNaively(model);
      const found = await explore(model, concrete);
      expect([found.states, found.edges, found.depth]).toEqual([plain.states, plain.edges, plain.depth]);
      for (const { id, kind, verdict, counterexample } of found.properties) {
        if (kind === 'leadsTo') continue;
        expect([id, verdict]).toEqual([id, plain.broken.has(id) ? 'violated' : 'holds']);
        expect([id, counterexample?.actions.length]).toEqual([id, plain.broken.get(id)?.length]);
      }
    }),
    { numRuns: 300 },
  );
});

test('with members exchanged every verdict and every length is the same, in no more states', async () => {
  await fc.assert(
    fc.asyncProperty(randomModel, async (model) => {
      const plain = await explore(model, concrete);
      const reduced = await explore(model);
      expect(reduced.bounds.symmetry).toBe(model.options.devices > 1);
      expect(reduced.states).toBeLessThanOrEqual(plain.states);
      expect(verdicts(reduced)).toEqual(verdicts(plain));
      expect(reduced.depth).toBe(plain.depth);
    }),
    { numRuns: 300 },
  );
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

test('members that are not alike are counted one by one, and it is said why', async () => {
  const model = benchmarkModel(2, 1);
  const [first, ...rest] = model.actions;
  const lame: Model = { ...model, actions: rest };
  expect(asymmetry(model)).toBe(null);
  expect(first!.name).toBe('vf0: SET.STOP');
  expect(asymmetry(lame)).toBe('the actions change when members 0 and 1 of devices are exchanged');
  expect((await explore(lame)).bounds.symmetry).toBe(false);
});

describe('a bound', () => {
  const model = benchmarkModel(3, 10);
  const open = { verdict: 'unknown', complete: false };

  test('of memory is kept, and nothing is said to hold', async () => {
    const memory = 8 * 2 ** 20;
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

  test('of states, depth and time', async () => {
    expect(await explore(model, { states: 1000 })).toMatchObject({ ...open, reason: 'states' });
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

describe('a checkpoint', () => {
  const saved = async (model: Model, options: Partial<ExploreOptions>): Promise<Uint8Array> => {
    let kept: Uint8Array = new Uint8Array();
    const save = (parts: readonly Uint8Array[]) => {
      kept = Buffer.concat(parts);
    };
    await explore(model, { ...options, checkpoint: { seconds: 1e6, save } });
    return kept;
  };
  /** All but what depends on the clock and on bounds. */
  const result = ({ statistics: _, bounds: __, ...rest }: Exploration) => rest;

  test('at any place, again and again, leads to the same end', async () => {
    await fc.assert(
      fc.asyncProperty(
        randomModel,
        fc.boolean(),
        fc.integer({ min: 1, max: 9 }),
        async (model, symmetry, step) => {
          const whole = await explore(model, { symmetry });
          let resume = await saved(model, { symmetry, states: 1 });
          for (let states = 1 + step; states < whole.states && resume.length > 0; states += step)
            resume = await saved(model, { symmetry, states, resume });
          expect(result(await explore(model, { symmetry, resume }))).toEqual(result(whole));
        },
      ),
      { numRuns: 60 },
    );
  });

  test('of a large search leads to the same end', async () => {
    const model = benchmarkModel(3, 60);
    const whole = await explore(model, concrete);
    let resume = await saved(model, { ...concrete, states: 20_000 });
    resume = await saved(model, { ...concrete, states: 250_000, resume });
    expect(result(await explore(model, { ...concrete, resume }))).toEqual(result(whole));
  });

  test('that is cut, foreign, or of another model is refused', async () => {
    const model = benchmarkModel(2, 3);
    const resume = await saved(model, { states: 500 });
    const refusal = (bytes: Uint8Array, of = model, options = {}) =>
      explore(of, { resume: bytes, ...options }).then(
        () => 'taken',
        (error: unknown) => (error instanceof ModelError ? error.message : String(error)),
      );
    expect(await refusal(resume)).toBe('taken');
    expect(await refusal(resume, benchmarkModel(2, 4))).toContain('of another model');
    expect(await refusal(resume, model, { symmetry: false })).toContain('of another model');
    expect(await refusal(resume, model, { properties: ['completes'] })).toContain('of another model');
    expect(await refusal(Buffer.from('{"schema":"other"}'))).toBe('it is no checkpoint of stopcopy explore');
    for (const length of [0, 7, 12, 100, resume.length - 4, resume.length - 1])
      expect(await refusal(resume.subarray(0, length))).toMatch(/is cut at byte|is no checkpoint/);
  });
});

test('an unknown property is refused', async () => {
  await expect(explore(benchmarkModel(1, 1), { properties: ['complete'] })).rejects.toThrow(
    "benchmark has no property 'complete'; it has all-in-error",
  );
});
