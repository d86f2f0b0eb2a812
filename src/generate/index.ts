/** Test suites from the models: criteria make cases, emitters write them. */

export { COMPLETE_METHODS, type CompleteMethod } from '../automaton/index.js';
export { makeCase, prefixOf } from './case.js';
export type { GenerateContext, Made } from './context.js';
export {
  CRITERIA,
  CRITERION_NAMES,
  type Criterion,
  type CriterionEntry,
  criterionNamed,
} from './criteria.js';
export { type GenerateOptions, generateSuite, MODEL } from './generate.js';
export { coverageOf, suiteStats } from './stats.js';
export { type CriterionStats, STATS_SCHEMA, type Stats, statsJsonSchema } from './stats-schema.js';
