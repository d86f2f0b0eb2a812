export * from './builder.js';
export * from './expression.js';
export * from './interpret.js';
export * from './model.js';
export { MODELS, modelNamed } from './models/index.js';
export { modelOptions } from './models/options.js';
export * from './result.js';
