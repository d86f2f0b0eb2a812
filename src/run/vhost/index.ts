/** Test cases on a live vhost back end: driven as a VMM and a guest do, and judged by the rules. */

export type { AllocatedMemory, VhostTarget } from '../../target/vhost-target.js';
export type { VhostCase } from './case.js';
export { VHOST_CASES } from './cases.js';
export { vhostPeople } from './people.js';
export {
  VHOST_TEST_SCHEMA,
  type VhostTestFailure,
  type VhostTestReport,
  vhostTestJsonSchema,
  vhostTestSchema,
} from './report.js';
export { runVhostCases, type VhostRunOptions } from './run.js';
