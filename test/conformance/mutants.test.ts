import { beforeAll, describe, expect, test } from 'vitest';
import { faultText, mutants, observed } from '../../src/automaton/index.js';
import { requestMachine } from '../../src/generate/request-machine.js';
import { CAPABILITY_SETS, capabilityNames } from '../../src/machines/index.js';
import { FULL, mutantsPage, type Table, tableOf } from './mutant-table.js';

/** Suites against faulty devices that are made from the model: `docs/mutants.md`. */

let tables: readonly Table[];

beforeAll(() => {
  tables = [
    ...CAPABILITY_SETS.toReversed().map((caps) => tableOf(caps, { hidden: caps === FULL ? 2 : 1 })),
    ...CAPABILITY_SETS.toReversed().map((caps) => tableOf(caps, { status: false })),
  ];
});

const titleOf = ({ capabilities, status }: Table) =>
  `${capabilityNames(capabilities).join(', ')}${status ? '' : ', without GET'}`;

test('the complete suites for k find every fault behind up to k hidden states', () => {
  for (const table of tables) {
    const complete = table.rows.filter(({ name }) => /^(m-complete|W|Wp|HSI), k = /.test(name));
    expect(complete.length).toBeGreaterThan(1);
    for (const { name, scores } of complete) {
      const k = Number(name.at(-1));
      expect(scores.slice(0, k + 1), `${titleOf(table)}: ${name}`).toEqual(Array(k + 1).fill(1));
    }
  }
});

test('no suite finds all faults behind more hidden states than it is for', () => {
  for (const { rows } of tables)
    for (const { name, scores } of rows.filter(
      (row) => row.name.includes(', k = ') && !row.name.startsWith('random'),
    ))
      for (const score of scores.slice(Number(name.at(-1)) + 1)) expect(score).toBeLessThan(1);
});

describe('all capabilities', () => {
  const rowOf = (name: string) => tables[0]!.rows.find((row) => row.name === name)!;

  test('as many mutants, tests and requests as the model gives', () => {
    const model = observed(requestMachine(FULL, { status: true }), 'GET');
    // 7 states with 9 requests each; 6 wrong targets and 2 wrong answers for each transition.
    expect(tables[0]!.mutants).toEqual([63 * 8, 63 * 9 * 8, Math.ceil((63 * 9 * 9 * 8) / 25)]);
    const hidden = [...mutants(model, 1)].map(({ fault }) => fault);
    expect(new Set(hidden.map((fault) => faultText(model.machine, fault))).size).toBe(hidden.length);
    const targets = hidden.filter(({ wrong }) => 'target' in wrong).length;
    expect([targets, hidden.length - targets]).toEqual([63 * 9 * 6, 63 * 9 * 2]);
    expect(targets + 63 * 9).toBe(3_969);
    const sizes = [0, 1, 2].map((k) => rowOf(`m-complete, k = ${k}`));
    expect(sizes.map(({ tests, requests }) => [tests, requests])).toEqual([
      [57, 111],
      [513, 1_512],
      [4_617, 18_225],
    ]);
  });

  test('shortest paths find few', () => {
    expect(rowOf('`getShortestPaths`')).toMatchObject({ tests: 6, requests: 6 });
    expect(rowOf('`getShortestPaths`').scores[0]).toBeCloseTo(0.095, 3);
    expect(rowOf('`createTestModel().getShortestPaths`').scores[1]).toBeLessThan(0.1);
  });
});

test('the page in the docs says what was measured', async () => {
  await expect(mutantsPage(tables)).toMatchFileSnapshot('../../docs/mutants.md');
});
