import { describe, expect, test } from 'vitest';
import { promelaProperties } from '../../../src/explore/exports/promela.js';
import { exploreNaively } from '../naive.js';
import { everything, logged, response } from './small-models.js';
import { allBrokenBySpin, brokenBySpin, readPan, runSpin, whyNot } from './spin.js';

const why = await whyNot('spin', 'cc');
const title = (text: string): string => (why === null ? text : `${text} (${why})`);

describe.skipIf(why !== null)(title('Spin'), () => {
  test.each([
    ['logged', logged()],
    ['logged, mutant', logged(true)],
    ['everything', everything()],
    ['response', response()],
  ])('%s: counts the same states and edges', async (_, model) => {
    const { states, edges } = exploreNaively(model);
    expect(await runSpin(model)).toMatchObject({ states, edges, errors: 0 });
  });

  test.each([
    ['logged', logged()],
    ['logged, mutant', logged(true)],
    ['everything', everything()],
  ])('%s: gives the same verdicts', async (_, model) => {
    const { broken } = exploreNaively(model);
    const spin = await allBrokenBySpin(model);
    expect(spin.sort()).toEqual([...broken.keys()].sort());
  });

  test('answers come under weak fairness, and not without', async () => {
    const model = response();
    const live = promelaProperties(model).filter(({ run }) => run === 'liveness');
    const broken: string[] = [];
    for (const each of live) if (await brokenBySpin(model, each)) broken.push(each.id);
    expect(broken).toEqual(['quiet unfair', 'weak', 'wrong class']);
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
