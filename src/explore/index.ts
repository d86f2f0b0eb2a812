export * from './builder.js';
export { DEFAULT_MEMORY, type ExploreOptions, type ExploreProgress, explore } from './engine/explore.js';
export * from './exports/index.js';
export * from './expression.js';
export * from './interpret.js';
export * from './model.js';
export { MODELS, modelNamed } from './models/index.js';
export { modelOptions } from './models/options.js';
export * from './result.js';
