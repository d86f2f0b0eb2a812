export * from './automaton.js';
export { compile } from './compile.js';
export { after, answers, type Mealy, type Word } from './mealy.js';
export { Monitor, StateSets } from './monitor.js';
