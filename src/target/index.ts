/** Devices under observation and under test. */
export { type RecorderOptions, recorded } from './recorded.js';
