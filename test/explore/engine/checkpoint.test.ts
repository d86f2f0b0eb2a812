import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ExploreOptions, explore } from '../../../src/explore/engine/explore.js';
import { type Model, ModelError } from '../../../src/explore/model.js';
import type { Exploration } from '../../../src/explore/result.js';
import { benchmarkModel } from '../benchmark-model.js';
import { randomModel } from '../random-models.js';
import { widened } from './widened.js';

const concrete = { symmetry: false };

/** Explores, and keeps the last checkpoint. */
async function saved(model: Model, options: Partial<ExploreOptions>, seconds = 1e6): Promise<Uint8Array> {
  let kept: Uint8Array = new Uint8Array();
  const save = (parts: readonly Uint8Array[]) => {
    kept = Buffer.concat(parts);
  };
  await explore(model, { ...options, checkpoint: { seconds, save } });
  return kept;
}

/** All but what depends on the clock and on bounds. */
const result = ({ statistics: _, bounds: __, ...rest }: Exploration) => rest;

test('a search that is stopped at any place, again and again, comes to the same end', async () => {
  await fc.assert(
    fc.asyncProperty(
      randomModel,
      fc.boolean(),
      fc.constantFrom(0, 12),
      fc.integer({ min: 1, max: 9 }),
      async (given, symmetry, ballast, step) => {
        const model = widened(given, ballast);
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

test('a large search that is stopped by bounds comes to the same end', async () => {
  const model = benchmarkModel(3, 60);
  const whole = await explore(model, concrete);
  let resume = await saved(model, { ...concrete, states: 20_000 });
  resume = await saved(model, { ...concrete, states: 250_000, resume });
  expect(result(await explore(model, { ...concrete, resume }))).toEqual(result(whole));
});

test('a search that is killed goes on from what it saved on its way', async () => {
  const model = benchmarkModel(3, 60);
  const stop = new AbortController();
  const kept: Uint8Array[] = [];
  const killed = explore(model, {
    ...concrete,
    signal: stop.signal,
    checkpoint: {
      seconds: 0.05,
      save: async (parts) => {
        kept.push(Buffer.concat(parts));
        if (kept.length === 2) stop.abort();
      },
    },
  });
  expect(await killed).toMatchObject({ reason: 'interrupted', complete: false });
  const whole = result(await explore(model, concrete));
  // The third was saved at the interrupt.
  expect(kept.length).toBe(3);
  expect(kept[0]!.length).toBeLessThan(kept[1]!.length);
  for (const resume of kept) expect(result(await explore(model, { ...concrete, resume }))).toEqual(whole);
});

describe('a checkpoint is refused', async () => {
  const model = benchmarkModel(2, 3);
  const resume = await saved(model, { states: 500 });
  const refusal = (bytes: Uint8Array, of = model, options: Partial<ExploreOptions> = {}) =>
    explore(of, { resume: bytes, ...options }).then(
      () => 'taken',
      (error: unknown) => (error instanceof ModelError ? error.message : String(error)),
    );

  test('of another model, other properties, or without the symmetry', async () => {
    expect(await refusal(resume)).toBe('taken');
    expect(await refusal(resume, benchmarkModel(2, 4))).toContain('of another model');
    expect(await refusal(resume, model, { symmetry: false })).toContain('of another model');
    expect(await refusal(resume, model, { properties: ['completes'] })).toContain('of another model');
  });

  test('cut or foreign', async () => {
    expect(await refusal(Buffer.from('{"schema":"other"}'))).toBe('it is no checkpoint of stopcopy explore');
    for (const length of [0, 7, 12, 100, resume.length - 4, resume.length - 1])
      expect(await refusal(resume.subarray(0, length))).toMatch(/is cut at byte|is no checkpoint/);
  });

  test('with a bit that was turned over, wherever it is', async () => {
    const first = (await refusal(resume)) === 'taken';
    expect(first).toBe(true);
    await fc.assert(
      fc.asyncProperty(fc.nat(resume.length - 1), fc.nat(7), async (at, bit) => {
        const broken = Uint8Array.from(resume);
        broken[at]! ^= 1 << bit;
        expect(await refusal(broken)).toMatch(/checkpoint/);
      }),
      { numRuns: 200 },
    );
  });

  test('when it needs more memory than there is', async () => {
    expect(await refusal(resume, model, { memory: 1000 })).toMatch(
      /has \d+ states, which need \d+ bytes; the bound of memory is 1000/,
    );
  });
});
