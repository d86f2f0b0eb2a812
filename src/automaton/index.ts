export * from './automaton.js';
export { compile } from './compile.js';
export { Monitor, StateSets } from './monitor.js';
