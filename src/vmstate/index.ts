/** State as versioned field descriptions, in the manner of QEMU's VMState. */
export type { VmStateEntry } from './entry.js';
