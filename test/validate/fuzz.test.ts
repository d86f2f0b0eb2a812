import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RULES } from '../../src/rules/index.js';
import type { TraceEvent } from '../../src/trace/event.js';
import { traceEventSchema } from '../../src/trace/event-schema.js';
import { validateEvents } from '../../src/validate/index.js';
import { reportSchema } from '../../src/validate/report-schema.js';
import { anyEvent, eventsOfFewKinds } from '../support/arbitrary-events.js';

const IDS = new Set(RULES.map(({ id }) => id));

/** Judges the events; whatever they are, there is a report, and it says nothing that it cannot. */
function judge(events: readonly TraceEvent[]): void {
  const report = validateEvents(events, { maxFindings: 20 });
  expect(reportSchema.safeParse(JSON.parse(JSON.stringify(report))).error).toBeUndefined();
  for (const { rule } of report.violations) expect(IDS).toContain(rule);
  const { checked, notObservable, notApplicable } = report.rules;
  const sorted = [...checked, ...notObservable.map(({ rule }) => rule), ...notApplicable];
  expect(new Set(sorted)).toEqual(IDS);
  expect(sorted.length).toBe(IDS.size);
  if (report.verdict === 'conformant') expect(checked).not.toEqual([]);
}

describe('any events of the vocabulary, in any order, are judged', () => {
  test('the generated events are of the vocabulary', () => {
    fc.assert(fc.property(anyEvent, (event) => traceEventSchema.safeParse(event).success));
  });

  test('all kinds together', () => {
    fc.assert(fc.property(fc.array(anyEvent, { maxLength: 120 }), judge), { numRuns: 150 });
  });

  test('few kinds at a time', () => {
    fc.assert(fc.property(eventsOfFewKinds, judge), { numRuns: 600 });
  });

  test('the examples of two rules, mixed', () => {
    const example = fc.constantFrom(...RULES.flatMap(({ conformant, violating }) => [conformant, violating]));
    const mixed = fc
      .tuple(example, example, fc.infiniteStream(fc.boolean()))
      .map(([first, second, choice]) => {
        const [one, two] = [[...first], [...second]];
        const events: TraceEvent[] = [];
        for (const fromFirst of choice) {
          const next = (fromFirst ? one : two).shift() ?? one.shift() ?? two.shift();
          if (next === undefined) return events;
          events.push(next);
        }
        return events;
      });
    fc.assert(fc.property(mixed, judge), { numRuns: 400 });
  });
});
