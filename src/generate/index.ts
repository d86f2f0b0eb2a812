/** Test suites from the models: criteria make cases, emitters write them. */
export { makeCase, prefixOf } from './case.js';
export { type GenerateContext, type Made, METHODS, type Method } from './context.js';
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
