/** Guest RAM, and how its dirty pages become records of a stream. */
export { type Gathered, gatherPages, PAGE_RECORD, ZERO_RECORD } from './gather.js';
export { GuestRam, PAGE_SIZE } from './guest-ram.js';
export { PageDigests } from './page-digests.js';
export { PageScan, type ScanOptions, type ScanRoom } from './page-scan.js';
