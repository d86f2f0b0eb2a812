import { describe, expect, test } from 'vitest';
import { withinBudget } from '../../src/generate/budget.js';
import { generate, meterFor } from '../../src/generate/generate.js';
import { coverageOf, generateSuite } from '../../src/generate/index.js';
import { CAPABILITY_SETS } from '../../src/machines/index.js';
import { type Case, COVERAGE_MEASURES } from '../../src/suite/index.js';

const capabilities = CAPABILITY_SETS[3]!;
const coverage = ['arcs', 'requests', 'sessions'] as const;
const made = generate({ capabilities, coverage });
const meter = meterFor(made.context);
const stepsOf = (cases: readonly Case[]) => cases.reduce((sum, { steps }) => sum + steps.length, 0);
const whole = stepsOf(made.suite.cases);
const reachedBy = (cases: readonly Case[]) => {
  const measured = coverageOf(cases, made.context);
  return COVERAGE_MEASURES.map((measure) => measured[measure].reached);
};

describe('a budget', () => {
  test('is kept, used, and covers no less when it grows', () => {
    let before = COVERAGE_MEASURES.map(() => 0);
    for (const budget of [1, 2, 5, 20, 60, 61, 150, 400, 1000, whole, whole + 9]) {
      const cases = withinBudget(made.suite.cases, budget, meter);
      expect(stepsOf(cases)).toBe(Math.min(budget, whole));
      const reached = reachedBy(cases);
      expect(reached.filter((count, index) => count < before[index]!)).toEqual([]);
      before = reached;
    }
    expect(before).toEqual(reachedBy(made.suite.cases));
  });

  test('goes to what covers most first', () => {
    const budget = 60;
    // The first steps of the suite, as they stand there.
    let left = budget;
    const first = made.suite.cases.flatMap((each) => {
      const steps = each.steps.slice(0, left);
      left -= steps.length;
      return steps.length > 0 ? [{ ...each, steps }] : [];
    });
    const best = withinBudget(made.suite.cases, budget, meter);
    const sum = (cases: readonly Case[]) => reachedBy(cases).reduce((all, count) => all + count, 0);
    expect(sum(best)).toBeGreaterThan(sum(first));
  });

  test('that cuts a suite takes its guarantee away', () => {
    expect(generateSuite({ capabilities, coverage: ['requests'], budget: 20 }).guarantee).toBeNull();
    expect(generateSuite({ capabilities, coverage: ['requests'], budget: 1000 }).guarantee).not.toBeNull();
  });
});
