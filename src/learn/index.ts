/** Learning: the state machine of a live device from its answers, or what traces show of it. */
export {
  type Alphabet,
  type AlphabetOptions,
  alphabetNamed,
  alphabetOf,
  type ImageKind,
  INPUT_GROUPS,
  type Input,
  type InputCall,
  type InputGroup,
  inputNames,
  OUTPUTS,
  STATUS_INPUT,
} from './alphabet.js';
export { DeviceTeacher, type DeviceTeacherOptions, FRESH_STARTS, type FreshStart } from './device-teacher.js';
export { answerText, type Difference, differences } from './difference.js';
export { type Examination, type ExamineOptions, examination } from './equivalence.js';
export { type LearnOptions, type LearnProgress, learnMachine } from './learner.js';
export type { Limits } from './learner-inquiry.js';
export type { SeenDifference } from './passive/compare.js';
export { PassiveLearner, Recorded } from './passive/learn.js';
export type { Place, RecordedCall, RecordedWord } from './passive/recorded.js';
export { type Allowed, type Expectation, protocolExpectation, protocolMachine } from './protocol.js';
export { learnedDot, learnedMermaid, type MachineData, machineData, placesOf } from './render.js';
export { LEARN_SCHEMA, type LearnReport, learnJsonSchema, learnReport, learnSchema } from './report.js';
export { type LearnEnd, type Learned, NOT_ASKED, type Nondeterminism } from './result.js';
export { type Answer, LostError, MachineTeacher, type Situation, type Teacher } from './teacher.js';
