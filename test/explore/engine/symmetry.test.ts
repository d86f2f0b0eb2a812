import fc from 'fast-check';
import { expect, test } from 'vitest';
import { replay } from '../../../src/explore/counterexample/replay.js';
import { explore } from '../../../src/explore/engine/explore.js';
import { type Layout, layoutOf } from '../../../src/explore/engine/layout.js';
import { programOf } from '../../../src/explore/engine/program.js';
import { Search } from '../../../src/explore/engine/search.js';
import { asymmetry } from '../../../src/explore/engine/symmetry.js';
import type { Model } from '../../../src/explore/model.js';
import { modelNamed } from '../../../src/explore/models/index.js';
import { modelOptions } from '../../../src/explore/models/options.js';
import { benchmarkModel } from '../benchmark-model.js';
import { randomModel } from '../random-models.js';
import { widened, widenedMembers } from './widened.js';

const MEMORY = 2 ** 28;

/** In how many orders the members of a state's groups can be told apart. */
function orders({ groups }: Layout, words: Int32Array): number {
  let product = 1;
  for (const { bits, places } of groups) {
    const counts = new Map<string, number>();
    for (const [index, member] of places.entries()) {
      const record = member
        .map(({ word, shift }, part) => (words[word]! >>> shift) & (2 ** bits[part]! - 1))
        .join();
      const equal = (counts.get(record) ?? 0) + 1;
      counts.set(record, equal);
      product = (product * (index + 1)) / equal;
    }
  }
  return product;
}

/** States and edges of the model as it is, by the states that stand for all. */
function expanded(model: Model): { states: number; edges: number } {
  const layout = layoutOf(model, true);
  const program = programOf(model, layout, [], MEMORY);
  const search = new Search(program, layout.initial);
  while (search.slice({ memory: MEMORY, states: null, depth: null }) === null);
  const all = [...search.words()].flatMap((part) => [...part]);
  let states = 0;
  let edges = 0;
  for (let state = 0; state < search.count; state++) {
    const words = Int32Array.from(all.slice(state * layout.words, (state + 1) * layout.words));
    const weight = orders(layout, words);
    states += weight;
    search.successors(state, () => {
      edges += weight;
    });
  }
  return { states, edges };
}

async function counted(model: Model) {
  const { states, edges } = await explore(model, { symmetry: false });
  return { states, edges };
}

test('each state that stands for others, counted as often, gives the states and edges of the model', async () => {
  await fc.assert(
    fc.asyncProperty(randomModel, fc.constantFrom(0, 12), async (given, ballast) => {
      const model = widened(given, ballast);
      expect(asymmetry(model) === null).toBe(model.options.devices > 1);
      expect(expanded(model)).toEqual(await counted(model));
    }),
    { numRuns: 150 },
  );
});

test('so it is with members that are wider than a word', async () => {
  await fc.assert(
    fc.asyncProperty(randomModel, fc.constantFrom(3, 5, 8), async (given, more) => {
      const model = widenedMembers(given, more);
      expect(asymmetry(model) === null).toBe(model.options.devices > 1);
      expect(expanded(model)).toEqual(await counted(model));
      for (const { id, verdict, counterexample } of (await explore(model)).properties) {
        const property = model.properties.find((each) => each.id === id)!;
        if (counterexample === null) expect(['holds', 'violated']).toContain(verdict);
        else expect(replay(model, property, counterexample).problem).toBe(null);
      }
    }),
    { numRuns: 60 },
  );
});

test('so it is with groups of two kinds, and where a group is', async () => {
  const entry = modelNamed('vhost-log-switch')!;
  const model = entry.make(modelOptions(entry, { devices: 2, pages: 2 }));
  expect(model.symmetry.length).toBe(2);
  expect(expanded(model)).toEqual(await counted(model));
  expect(expanded(benchmarkModel(3, 4))).toEqual(await counted(benchmarkModel(3, 4)));
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

test('a property that names one member keeps the members apart, unless it is not looked at', async () => {
  const model = benchmarkModel(2, 1);
  const one: Model = {
    ...model,
    properties: [
      ...model.properties,
      { id: 'one', words: 'Of one.', kind: 'sometimes', of: { component: 'vf0', takes: 'SET.STOP' } },
    ],
  };
  expect(asymmetry(one)).toBe('the properties change when members 0 and 1 of devices are exchanged');
  expect((await explore(one)).bounds.symmetry).toBe(false);
  expect((await explore(one, { properties: ['completes'] })).bounds.symmetry).toBe(true);
});
