import { type Case, type Coverage, planned, type Suite } from '../suite/index.js';
import { type Generated, type GenerateOptions, generate, meterFor } from './generate.js';
import { type CriterionStats, STATS_SCHEMA, type Stats } from './stats-schema.js';

/** What a suite covers when the device does what is allowed. @param lacks calls that the target has no form for */
export function coverageOf(cases: readonly Case[], scope: Parameters<typeof meterFor>[0]): Coverage {
  const meter = meterFor(scope);
  for (const each of cases) meter.add(planned(each));
  return meter.coverage;
}

/** Cases, steps, resets, coverage and lower bound of the suite that these options give. */
export function suiteStats(options: GenerateOptions): Stats {
  return statsOf(generate(options));
}

/** The same of one that was generated. */
export function statsOf({ suite, context, parts }: Generated): Stats {
  const criteria = parts.map(({ criterion, made }): CriterionStats => {
    const cases = suite.cases.filter((each) => each.criterion === criterion.name);
    return {
      criterion: criterion.name,
      ...sizeOf(cases),
      coverage: criterion.measure && coverageOf(cases, context)[criterion.measure],
      lowerBound: made.lowerBound?.steps ?? null,
      proof: made.lowerBound?.proof ?? null,
    };
  });
  const bounds = criteria.flatMap(({ lowerBound }) => lowerBound ?? []);
  return {
    schema: STATS_SCHEMA,
    model: suite.model,
    capabilities: suite.capabilities,
    ...sizeOf(suite.cases),
    coverage: coverageOf(suite.cases, context),
    // One walk may serve several criteria, so of their bounds only the largest holds for all.
    lowerBound: bounds.length === 0 ? null : Math.max(...bounds),
    guarantee: suite.guarantee,
    criteria,
  };
}

function sizeOf(cases: Suite['cases']): { cases: number; steps: number; resets: number } {
  const steps = cases.flatMap((each) => each.steps);
  const resets = steps.filter((step) => step.do === 'reset' || step.do === 'reopen').length;
  return { cases: cases.length, steps: steps.length, resets: resets + cases.length };
}
