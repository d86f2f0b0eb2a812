import { z } from 'zod';
import { address, count, deviceEvent, errno } from './event-shape.js';
import { pageRuns } from './vhost-events.js';

/**
 * Events of the dirty trackers that a kernel has beside device DMA logging: KVM's log and ring (the device is
 * the VM), an I/O page table of iommufd (the device is the iommufd), a type1 container.
 */

const slot = count.describe('as_id << 16 | slot');
const hwpt = count.describe('id of the page table');

const kvm = [
  deviceEvent('kvm_enable_cap', 'KVM_ENABLE_CAP of a capability of dirty logging', {
    capability: z.enum(['manual_protect', 'dirty_ring', 'dirty_ring_acq_rel', 'dirty_ring_with_bitmap']),
    argument: count.optional().describe('flags of manual protection, or bytes of a ring'),
    errno: errno.optional(),
  }),
  deviceEvent('kvm_memslot', 'KVM_SET_USER_MEMORY_REGION', {
    slot,
    log: z.boolean().describe('KVM_MEM_LOG_DIRTY_PAGES'),
    gpa: address.optional(),
    size: address.optional().describe('bytes; 0 takes the slot away'),
    errno: errno.optional(),
  }),
  deviceEvent('kvm_vcpu', 'KVM_CREATE_VCPU', { errno: errno.optional() }),
  deviceEvent('kvm_dirty_log_get', 'KVM_GET_DIRTY_LOG', {
    slot,
    pages: pageRuns.optional().describe('runs of pages of the slot'),
    errno: errno.optional(),
  }),
  deviceEvent('kvm_dirty_log_clear', 'KVM_CLEAR_DIRTY_LOG', {
    slot,
    first: count,
    pages: count,
    set: pageRuns.optional().describe('runs of pages of the slot whose bits were given'),
    errno: errno.optional(),
  }),
  deviceEvent('kvm_dirty_gfn', 'an entry of a dirty ring was harvested', {
    vcpu: count,
    slot,
    page: count.describe('page of the slot'),
    flags: count.optional().describe('flags that it had'),
  }),
  deviceEvent('kvm_reset_dirty_rings', 'KVM_RESET_DIRTY_RINGS', {
    count: count.optional().describe('entries that were reset'),
    errno: errno.optional(),
  }),
  deviceEvent('kvm_exit', 'KVM_RUN has returned', {
    vcpu: count,
    reason: count.optional(),
    errno: errno.optional(),
  }),
  deviceEvent('kvm_guest_write', 'the guest wrote pages of a slot', { slot, pages: pageRuns }),
];

const iommu = [
  deviceEvent('iommufd_hwpt_alloc', 'IOMMU_HWPT_ALLOC', {
    hwpt: hwpt.optional(),
    dirtyTracking: z.boolean(),
    errno: errno.optional(),
  }),
  deviceEvent('iommufd_set_dirty', 'IOMMU_HWPT_SET_DIRTY_TRACKING', {
    hwpt,
    on: z.boolean(),
    errno: errno.optional(),
  }),
  deviceEvent('iommufd_dirty_bitmap', 'IOMMU_HWPT_GET_DIRTY_BITMAP', {
    hwpt,
    iova: address.optional(),
    length: address.optional(),
    pageSize: address.optional(),
    noClear: z.boolean().optional(),
    errno: errno.optional(),
  }),
  deviceEvent('iommufd_unmap', 'IOMMU_IOAS_UNMAP', {
    iova: address.optional(),
    length: address.optional(),
    errno: errno.optional(),
  }),
  deviceEvent('type1_dirty', 'VFIO_IOMMU_DIRTY_PAGES, START or STOP', {
    on: z.boolean(),
    errno: errno.optional(),
  }),
  deviceEvent('type1_dirty_bitmap', 'VFIO_IOMMU_DIRTY_PAGES, GET_BITMAP', {
    iova: address.optional(),
    length: address.optional(),
    pageSize: address.optional(),
    errno: errno.optional(),
  }),
  deviceEvent('type1_unmap', 'VFIO_IOMMU_UNMAP_DMA', {
    iova: address.optional(),
    length: address.optional(),
    dirtyBitmap: z.boolean().optional().describe('VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP'),
    errno: errno.optional(),
  }),
];

export const dirtyLogEvents = [...kvm, ...iommu] as const;
