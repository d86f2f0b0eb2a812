export { toCSearch } from './c-search.js';
export { type PromelaProperty, promelaProperties, toPromela } from './promela.js';
export { type TlaExport, toTla } from './tla.js';
export { toXState } from './xstate.js';
