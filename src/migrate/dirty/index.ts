/** Dirty pages: bitmaps, and the trackers that find out what was written. */
export { DirtyRing } from './dirty-ring.js';
export { DirtyRingTracker } from './dirty-ring-tracker.js';
export { DmaLoggingTracker } from './dma-logging-tracker.js';
export { type DirtyQuery, IommuTable } from './iommu-table.js';
export { IommuTracker } from './iommu-tracker.js';
export { KvmAutoTracker, KvmManualTracker } from './kvm-log.js';
export { KvmMemslot, type MemslotOptions } from './kvm-memslot.js';
export { KvmRings, type RingOptions } from './kvm-rings.js';
export { PageBitmap } from './page-bitmap.js';
export { PmlBuffer } from './pml-buffer.js';
export type { DirtyTracker, Writers } from './tracker.js';
export {
  DIRTY_TRACKERS,
  dirtyTracker,
  type TrackerKind,
  type TrackerName,
  type TrackerOptions,
} from './trackers.js';
export { Untracked } from './untracked.js';
export { VhostLog, VhostLogTracker } from './vhost-log.js';
