/**
 * Whole migrations of a VM whose guest uses a mock device. What is recorded of them shows what no call to a
 * device alone can: pages missing in the dirty log, DMA while stopped, settings lost, a device that is dead when
 * it runs again. Who judges the record stands elsewhere.
 */
export { mockGuestRig } from './rig.js';
