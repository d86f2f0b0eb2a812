import { describe, expect, test } from 'vitest';
import { CLAUSES, MACHINES, regionsOf } from '../../src/machines/index.js';
import { RULES } from '../../src/rules/index.js';

const instances = MACHINES.flatMap((entry) =>
  entry.capabilitySets.map((caps) => [`${entry.name} ${JSON.stringify(caps)}`, entry.make(caps)] as const),
);

describe('every state and every transition says the clause that it comes from', () => {
  test.each(instances)('%s', (_name, machine) => {
    const without: string[] = [];
    for (const region of regionsOf(machine)) {
      for (const { name, clause } of region.states)
        if (!clause || !(clause in CLAUSES)) without.push(`${region.name}.${name}`);
      for (const { from, event, clause } of region.transitions)
        if (!clause || !(clause in CLAUSES)) without.push(`${region.name}.${from} on ${event}`);
    }
    expect(without).toEqual([]);
  });
});

test('every clause is used, by a machine or a rule', () => {
  const used = new Set<string>(RULES.map(({ clause }) => clause));
  for (const [, machine] of instances)
    for (const { states, transitions } of regionsOf(machine))
      for (const { clause } of [...states, ...transitions]) if (clause) used.add(clause);
  expect(Object.keys(CLAUSES).filter((id) => !used.has(id))).toEqual([]);
});
