/** The form of a test suite, what the uAPI allows for a step in any situation, and what steps cover. */
export {
  COVERAGE_MEASURES,
  type Coverage,
  type CoverageMeasure,
  CoverageMeter,
  type CoverageScope,
  type Covered,
  planned,
  type StepOutcome,
} from './coverage.js';
export { dataBytes, dataRange, type WriteData } from './data.js';
export { IMAGE_CASE, imageCase } from './image.js';
export { suiteJsonSchema } from './json-schema.js';
export { CaseModel, type FdModel, UNKNOWN } from './model.js';
export { optionalCallOf } from './optional-call.js';
export { caseEvents, likeliest } from './path.js';
export { caseSchema, SUITE_SCHEMA, stepSchema, suiteSchema } from './schema.js';
export type { Case, Step, StepKind, StepOf, Suite } from './suite.js';
