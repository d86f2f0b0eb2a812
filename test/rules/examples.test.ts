import { describe, expect, test } from 'vitest';
import { RULES } from '../../src/rules/index.js';
import { traceEventSchema } from '../../src/trace/event-schema.js';
import { validateEvents } from '../../src/validate/index.js';

test('there are at least 60 rules, with ids of their own', () => {
  expect(RULES.length).toBeGreaterThanOrEqual(60);
  expect(new Set(RULES.map(({ id }) => id)).size).toBe(RULES.length);
});

describe.each(RULES.map((rule) => [rule.id, rule] as const))('%s', (id, rule) => {
  test('its examples are events of the vocabulary', () => {
    for (const event of [...rule.conformant, ...rule.violating]) traceEventSchema.parse(event);
  });

  test('the conformant example puts it to the test and breaks no rule', () => {
    const report = validateEvents(rule.conformant);
    expect(report.violations.filter(({ level }) => level !== 'note')).toEqual([]);
    expect(report.violations.filter((each) => each.rule === id)).toEqual([]);
    expect(report.rules.checked).toContain(id);
  });

  test('the violating example breaks it', () => {
    const report = validateEvents(rule.violating);
    const broken = report.violations.filter((each) => each.rule === id);
    expect(
      broken.length,
      JSON.stringify(report.violations.map((each) => [each.rule, each.message])),
    ).toBeGreaterThan(0);
    expect(broken[0]).toMatchObject({ party: rule.party, level: rule.level });
  });
});
