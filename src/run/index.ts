/** Runs test suites on live devices, judges what came, and shrinks what failed. */
export { HangError } from '../target/bounded.js';
export { CaseRunner, type CaseRunnerOptions, type Steps } from './case-runner.js';
export { type PeopleOptions, people } from './people.js';
export {
  type KnownDeviation,
  type SkippedCase,
  TEST_SCHEMA,
  type TestFailure,
  type TestReport,
  type TestVerdict,
} from './report.js';
export { testJsonSchema, testSchema } from './report-schema.js';
export { type DeviceFacts, type RunOptions, type RunResult, runSuite } from './run.js';
export { callWords } from './words.js';
