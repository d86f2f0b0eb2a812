export * from './automaton.js';
export { compile } from './compile.js';
export {
  COMPLETE_METHODS,
  type CompleteMethod,
  type CompleteSuite,
  type CompleteSuiteOptions,
  completeSuite,
  stateCover,
  transitionCover,
} from './complete-suite.js';
export {
  characterizingSet,
  type Distinction,
  distinguish,
  isMinimal,
  type Observed,
  observed,
  type Reduced,
  reduced,
  responses,
} from './distinguish.js';
export { equivalent } from './equivalent.js';
export { Examiner } from './examiner.js';
export { harmonizedIdentifiers, identifiers } from './identify.js';
export { after, answers, type Mealy, type Word } from './mealy.js';
export { Monitor, StateSets } from './monitor.js';
export { type Fault, faultText, type Mutant, mutants, type Transition } from './mutants.js';
export { drawFrom } from './random.js';
export { coverLabels, postmanTour, type Tour, type TourEdge } from './tour.js';
export { treeOf, WordTree } from './word-tree.js';
