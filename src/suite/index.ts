/** The form of a test suite. */
export { caseSchema, SUITE_SCHEMA, stepSchema, suiteSchema } from './schema.js';
export type { Case, Step, StepKind, StepOf, Suite } from './suite.js';
