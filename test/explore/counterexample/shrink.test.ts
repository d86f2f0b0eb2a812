import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ModelBuilder } from '../../../src/explore/builder.js';
import { replay } from '../../../src/explore/counterexample/replay.js';
import { shrink } from '../../../src/explore/counterexample/shrink.js';
import { explore } from '../../../src/explore/engine/explore.js';
import { and, eq, evaluate, lt, plus } from '../../../src/explore/expression.js';
import { valuation } from '../../../src/explore/interpret.js';
import type { Model, Property } from '../../../src/explore/model.js';
import { modelNamed } from '../../../src/explore/models/index.js';
import { modelOptions } from '../../../src/explore/models/options.js';
import type { Path } from '../../../src/explore/result.js';
import { claims, type Walk, walked, walks } from './walks.js';

const stands = (model: Model, of: Property, path: Path): boolean => replay(model, of, path).problem === null;

/** The paths with one action less. */
const oneLess = ({ actions, end, loop }: Path): Path[] =>
  actions.map((_, at) => ({
    actions: actions.toSpliced(at, 1),
    end,
    loop: loop !== null && at < loop ? loop - 1 : loop,
  }));

/** The run as far as its `length` first actions. */
const begin = ({ model, actions, states }: Walk, length: number): Walk => ({
  model,
  actions: actions.slice(0, length),
  states: states.slice(0, length + 1),
});

test('what is left shows the same, and no single action can be left out', () => {
  const shorter = { path: 0, cycle: 0 };
  const lengths = fc.array(fc.nat(40), { minLength: 6, maxLength: 6 });
  fc.assert(
    fc.property(walks(40), lengths, (walk, [...cuts]) => {
      const { model } = walk;
      for (const run of cuts.map((length) => begin(walk, length)))
        for (const each of model.properties)
          for (const long of claims(run, each).filter((path) => stands(model, each, path))) {
            const short = shrink(model, each, long);
            expect(replay(model, each, short).problem).toBe(null);
            expect(oneLess(short).filter((path) => stands(model, each, path))).toEqual([]);
            if (short.actions.length < long.actions.length) shorter[long.loop === null ? 'path' : 'cycle']++;
          }
    }),
    { numRuns: 200 },
  );
  expect(shorter.path).toBeGreaterThan(50);
  expect(shorter.cycle).toBeGreaterThan(5);
});

test('an action that only another made needful goes with it', () => {
  const options = { devices: 0, pages: 0, faults: 0, capabilities: [], variant: null };
  const draft = new ModelBuilder('lock', 'A lock', options);
  const [locked, done] = [draft.variable('locked', 'a lock', 1), draft.variable('done', 'work', 2)];
  draft.action('lock', { set: [locked.to(1)] });
  draft.action('unlock', { set: [locked.to(0)] });
  draft.action('work', { when: lt(done, 2), set: [done.to(plus(done, 1))] });
  draft.sometimes('ready', 'The work is done, and nothing is locked.', and(eq(done, 2), eq(locked, 0)));
  const lock = draft.build();
  const path: Path = { actions: ['lock', 'work', 'unlock', 'work'], end: 'state', loop: null };
  expect(shrink(lock, lock.properties[0]!, path).actions).toEqual(['work', 'work']);
});

/** Two devices, and what QEMU does after a failure. */
const entry = modelNamed('two-phase-stop')!;
const model = entry.make(modelOptions(entry, { variant: 'qemu-11.1' }));

test('a path that does not show it is refused', () => {
  const property = model.properties.find(({ id }) => id === 'migrated')!;
  const path: Path = { actions: ['VMM: migrate'], end: 'state', loop: null };
  expect(() => shrink(model, property, path)).toThrow(
    new RangeError('this run does not show migrated: the last state does not show it (migrated)'),
  );
});

test('long walks through a model come near to the shortest way', async () => {
  const wanted = model.properties.find(({ id }) => id === 'rolled-back')!;
  if (!('of' in wanted)) throw new Error('it is of a state');
  const { properties } = await explore(model, { properties: [wanted.id], symmetry: false });
  const shortest = properties[0]!.witness!.actions.length;
  const choices = fc.array(fc.nat(5039), { minLength: 600, maxLength: 600 });
  const runs = fc.sample(choices, { numRuns: 40, seed: 3 }).flatMap((numbers) => {
    const run = walked(model, numbers);
    const last = run.states.findLastIndex((state) => evaluate(wanted.of, valuation(model, state)) !== 0);
    return last < 0 ? [] : claims(begin(run, last), wanted);
  });
  const lengths = runs.map((run) => shrink(model, wanted, run).actions.length);
  expect(runs.filter(({ actions }) => actions.length > 2 * shortest).length).toBeGreaterThan(5);
  expect(Math.min(...lengths)).toBe(shortest);
  expect(Math.max(...lengths)).toBeLessThan(2 * shortest);
});

test('the shortest ones stay as they are', async () => {
  for (const { id, counterexample, witness } of (await explore(model)).properties) {
    const path = counterexample ?? witness;
    if (path === null) continue;
    const property = model.properties.find((each) => each.id === id)!;
    expect(shrink(model, property, path)).toEqual(path);
  }
});
