/** The uses of the machines: judge traces and events, describe and compile machines, look rules up. */
export { type Automaton, accepted, compile, configurationName, REFUSED, step } from './automaton/index.js';

export { describeMachine } from './document/describe.js';
export {
  type ArcDescription,
  DESCRIPTION_SCHEMA,
  type MachineDescription,
  type Paths,
  type RegionDescription,
  type StateDescription,
} from './document/description.js';
export { PROFILES, type Profile } from './machines/profiles.js';
export { type Level, RULES, type Rule, ruleNamed } from './rules/index.js';
export type { TraceInput } from './trace/open.js';
export { InputError } from './trace/reader.js';
export {
  DEFAULT_MAX_FINDINGS,
  type ValidateOptions,
  validateEvents,
  validateInputs,
} from './validate/index.js';
export {
  type DeviceReport,
  type Finding,
  type HostReport,
  type InputReport,
  type MigrationMeasurement,
  REPORT_SCHEMA,
  type Report,
  type Span,
  type Verdict,
} from './validate/report.js';
