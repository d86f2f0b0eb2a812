import { describe, expect, test } from 'vitest';
import { promelaProperties } from '../../../src/explore/exports/promela.js';
import { exploreNaively } from '../naive.js';
import { everything, logged, mayStay, response } from './small-models.js';
import { brokenBySpin, readPan, runSpin, whyNot } from './spin.js';

const why = await whyNot('spin', 'cc');
/** For models of a few states. */
const QUICK = { depth: 10_000, table: 16, flags: ['-O0'] };
const title = (text: string): string => (why === null ? text : `${text} (${why})`);

describe.skipIf(why !== null)(title('Spin'), () => {
  // More models, and all shipped ones, are compared by test/large/second-opinions.rig.ts.
  test.each([
    ['logged', logged()],
    ['everything', everything()],
    ['response', response()],
  ])('%s: counts the same states and edges', async (_, model) => {
    const { states, edges } = exploreNaively(model);
    expect(await runSpin(model, undefined, QUICK)).toMatchObject({ states, edges, errors: 0 });
  });

  test('gives the same verdicts', async () => {
    const model = logged(true);
    const broken = promelaProperties(model).map(async (property) =>
      (await brokenBySpin(model, property, QUICK)) ? [property.id] : [],
    );
    const expected = [...exploreNaively(model).broken.keys()].sort();
    expect((await Promise.all(broken)).flat().sort()).toEqual(expected);
  });

  test.each([
    ['quiet comes', response(), false],
    ['weak', response(), true],
    ['fair', mayStay(), false],
    ['unfair', mayStay(), true],
    ['any', mayStay(), true],
  ])('what comes at last: %s', async (id, model, broken) => {
    const property = promelaProperties(model).find((each) => each.id === id)!;
    expect(property.run).toBe('liveness');
    expect(await brokenBySpin(model, property, QUICK)).toBe(broken);
  });
});

test('a search of pan that was not complete is no result', () => {
  const report = (note: string) =>
    `error: ${note}\nState-vector 12 byte, depth reached 9, errors: 0\n   4 states, stored\n   6 transitions (= stored+matched)\n`;
  expect(readPan(report(''))).toMatchObject({ states: 4, edges: 5, errors: 0 });
  expect(() => readPan(report('max search depth too small'))).toThrow('did not see everything');
  expect(() => readPan('pan: out of memory')).toThrow('pan says no');
  expect(() => readPan(report('').replace('4 states', '2.9868296e+08 states'))).toThrow('no exact number');
});
