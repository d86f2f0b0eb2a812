import type { TraceEvent } from '../trace/event.js';
import { ERRNO } from '../uapi/errno.js';
import { KVM_DIRTY_GFN_FLAGS, KVM_EXIT_DIRTY_RING_FULL, KVM_PAGE } from '../uapi/kvm.js';
import { device } from './example.js';

/** Runs of pages: first page, and how many. */
export type Runs = [first: number, count: number][];

/** The VM of the examples: calls that succeed, unless an errno is given. */
export function kvmExample(id = 'vm0', host = 'source') {
  const d = device(id, host);
  const errnoOf = (name?: string) => ({ errno: name === undefined ? 0 : ERRNO[name]! });
  return {
    event: d.event,
    open: (): TraceEvent => d.event('device_open'),
    manual: (argument: number, errno?: string): TraceEvent =>
      d.event('kvm_enable_cap', { capability: 'manual_protect', argument, ...errnoOf(errno) }),
    ring: (argument: number, errno?: string): TraceEvent =>
      d.event('kvm_enable_cap', { capability: 'dirty_ring', argument, ...errnoOf(errno) }),
    ringBitmap: (errno?: string): TraceEvent =>
      d.event('kvm_enable_cap', { capability: 'dirty_ring_with_bitmap', ...errnoOf(errno) }),
    vcpu: (): TraceEvent => d.event('kvm_vcpu', { errno: 0 }),
    /** A slot of so many pages at guest address 0; none take it away. */
    slot: (slot: number, log: boolean, pages = 100, errno?: string): TraceEvent =>
      d.event('kvm_memslot', { slot, log, gpa: 0, size: pages * KVM_PAGE, ...errnoOf(errno) }),
    get: (slot: number, pages: Runs | undefined, errno?: string): TraceEvent =>
      d.event('kvm_dirty_log_get', { slot, ...(pages ? { pages } : {}), ...errnoOf(errno) }),
    clear: (slot: number, first: number, pages: number, set: Runs, errno?: string): TraceEvent =>
      d.event('kvm_dirty_log_clear', { slot, first, pages, set, ...errnoOf(errno) }),
    write: (slot: number, pages: Runs): TraceEvent => d.event('kvm_guest_write', { slot, pages }),
    harvest: (slot: number, page: number, flags: number = KVM_DIRTY_GFN_FLAGS.DIRTY): TraceEvent =>
      d.event('kvm_dirty_gfn', { vcpu: 0, slot, page, flags }),
    reset: (count: number | undefined, errno?: string): TraceEvent =>
      d.event('kvm_reset_dirty_rings', { ...(count === undefined ? {} : { count }), ...errnoOf(errno) }),
    full: (vcpu = 0): TraceEvent => d.event('kvm_exit', { vcpu, reason: KVM_EXIT_DIRTY_RING_FULL, errno: 0 }),
  };
}
