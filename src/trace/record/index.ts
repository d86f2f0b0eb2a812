/**
 * Recorders: programs that watch the migration of running VMMs on a host, and what runs them.
 * They need no change to the VMM, the driver or the kernel.
 */
export { UAPI_SCHEMA } from './format.js';
export { type KprobeOptions, kprobeDefinitions, kprobeScript } from './kprobes.js';
export { type RecorderOptions, runRecorder } from './run.js';
export { type ProgramOptions, recorderProgram } from './vfio-uapi.bt.js';
