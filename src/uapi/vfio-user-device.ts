/**
 * vfio-user, continued: payloads of the commands that describe and reach a device: information, regions,
 * interrupts, and DMA in both directions. Offsets count from the end of the message header.
 *
 * Source: `docs/interop/vfio-user.rst` of QEMU, and the layouts that libvfio-user sends.
 */
import { struct } from './struct.js';

/** DMA_MAP. `flags` of `VFIO_USER_DMA_FLAGS`; `offset` is in the descriptor, where one is passed. */
export const VfioUserDmaMap = struct('vfio_user_dma_map', {
  argsz: 'u32',
  flags: 'u32',
  offset: 'u64',
  addr: 'u64',
  size: 'u64',
});

/** What the device may do in a range of DMA_MAP. */
export const VFIO_USER_DMA_FLAGS = { READ: 1, WRITE: 2 } as const;

/** DMA_UNMAP, in the request and in the reply. A `VfioUserBitmap` follows where the dirty bitmap is wanted. */
export const VfioUserDmaUnmap = struct('vfio_user_dma_unmap', {
  argsz: 'u32',
  flags: 'u32',
  addr: 'u64',
  size: 'u64',
});

/** Flags of DMA_UNMAP. */
export const VFIO_USER_UNMAP_FLAGS = { DIRTY_BITMAP: 1, ALL: 2 } as const;

/** `size` bytes of bitmap follow in a reply. */
export const VfioUserBitmap = struct('vfio_user_bitmap', { pgsize: 'u64', size: 'u64' });

/** DEVICE_GET_INFO, in the request and in the reply. */
export const VfioUserDeviceInfo = struct('vfio_user_device_info', {
  argsz: 'u32',
  flags: 'u32',
  num_regions: 'u32',
  num_irqs: 'u32',
});

/** Flags of DEVICE_GET_INFO. */
export const VFIO_USER_DEVICE_FLAGS = { RESET: 1, PCI: 2 } as const;

/** DEVICE_GET_REGION_INFO, in the request and in the reply. */
export const VfioUserRegionInfo = struct('vfio_user_region_info', {
  argsz: 'u32',
  flags: 'u32',
  index: 'u32',
  cap_offset: 'u32',
  size: 'u64',
  offset: 'u64',
});

/** Flags of DEVICE_GET_REGION_INFO. */
export const VFIO_USER_REGION_FLAGS = { READ: 1, WRITE: 2, MMAP: 4, CAPS: 8 } as const;

/** DEVICE_GET_REGION_IO_FDS; its array follows. */
export const VfioUserRegionIoFds = struct('vfio_user_region_io_fds', {
  argsz: 'u32',
  flags: 'u32',
  index: 'u32',
  count: 'u32',
});

/** DEVICE_GET_IRQ_INFO, in the request and in the reply. */
export const VfioUserIrqInfo = struct('vfio_user_irq_info', {
  argsz: 'u32',
  flags: 'u32',
  index: 'u32',
  count: 'u32',
});

/** Flags of DEVICE_GET_IRQ_INFO. */
export const VFIO_USER_IRQ_FLAGS = { EVENTFD: 1, MASKABLE: 2, AUTOMASKED: 4, NORESIZE: 8 } as const;

/** DEVICE_SET_IRQS; a byte for each interrupt follows with DATA_BOOL. */
export const VfioUserIrqSet = struct('vfio_user_irq_set', {
  argsz: 'u32',
  flags: 'u32',
  index: 'u32',
  start: 'u32',
  count: 'u32',
});

/** Of the first three, and of the last three, exactly one is set. */
export const VFIO_USER_IRQ_SET = {
  DATA_NONE: 1,
  DATA_BOOL: 2,
  DATA_EVENTFD: 4,
  ACTION_MASK: 8,
  ACTION_UNMASK: 16,
  ACTION_TRIGGER: 32,
} as const;

/** REGION_READ and REGION_WRITE; `count` bytes follow where the direction has any. */
export const VfioUserRegionAccess = struct('vfio_user_region_access', {
  offset: 'u64',
  region: 'u32',
  count: 'u32',
});

/** DMA_READ and DMA_WRITE, in the request and in the reply; `count` bytes follow where the direction has any. */
export const VfioUserDmaAccess = struct('vfio_user_dma_access', { addr: 'u64', count: 'u64' });

/** REGION_WRITE_MULTI: so many `VfioUserWriteMultiEntry` follow; in the reply how many were written. */
export const VfioUserWriteMulti = struct('vfio_user_write_multi', { wr_cnt: 'u64' });

/** One write of REGION_WRITE_MULTI: the first `count` of the eight bytes. */
export const VfioUserWriteMultiEntry = struct('vfio_user_write_multi_entry', {
  offset: 'u64',
  region: 'u32',
  count: 'u32',
  data: { bytes: 8 },
});

/** Regions of a PCI device that VFIO numbers: six BARs, ROM, configuration space (7), VGA. */
export const VFIO_PCI_REGIONS = 9;
/** Interrupts of a PCI device that VFIO numbers: INTx, MSI, MSI-X, ERR, REQ. */
export const VFIO_PCI_IRQS = 5;
/** Index of MSI-X among them. */
export const VFIO_PCI_MSIX_IRQ = 2;
