/**
 * The dirty log that vhost back ends write, in the kernel (`drivers/vhost/vhost.c`) and behind vhost-user
 * alike: a page's bit is bit p mod 8 of byte p div 8, p counted from guest physical address 0.
 */

/** Bytes that a bit stands for, on every host. */
export const VHOST_LOG_PAGE = 4096;

/** Bytes of a log that covers guest physical addresses below `end`, in the whole 64-bit words that a VMM harvests by. */
export function vhostLogBytes(end: number): number {
  return Math.ceil(end / VHOST_LOG_PAGE / 64) * 8;
}

/**
 * What a back end writes into guest memory: payload; elements, index, flags of the used ring and the avail event
 * behind it; descriptors and the device event structure of a packed ring; `unknown` where only the change was seen.
 */
export const VHOST_WRITES = [
  'buffer',
  'used',
  'used_idx',
  'used_flags',
  'avail_event',
  'desc',
  'device_event',
  'unknown',
] as const;
export type VhostWrite = (typeof VHOST_WRITES)[number];
