/** Numbers of PCI configuration space and of MSI-X, as `include/uapi/linux/pci_regs.h` has them. Little-endian. */

/** Offsets in the configuration header, in bytes. */
export const PCI_CONFIG = {
  VENDOR_ID: 0x00,
  DEVICE_ID: 0x02,
  COMMAND: 0x04,
  STATUS: 0x06,
  REVISION_ID: 0x08,
  CLASS: 0x09,
  HEADER_TYPE: 0x0e,
  BASE_ADDRESS: 0x10,
  CAPABILITY_LIST: 0x34,
  INTERRUPT_LINE: 0x3c,
} as const;

/** Base address registers of an endpoint, of four bytes. */
export const PCI_BARS = 6;

/** Bits of the command register. */
export const PCI_COMMAND = {
  MEMORY: 0x2,
  MASTER: 0x4,
  PARITY: 0x40,
  SERR: 0x100,
  INTX_DISABLE: 0x400,
} as const;

/** Bit of the status register: there is a list of capabilities. */
export const PCI_STATUS_CAP_LIST = 0x10;

/** Low bits of a base address register. */
export const PCI_BAR = { IO: 0x1, MEM_64: 0x4, PREFETCH: 0x8, MEM_FLAGS: 0xf } as const;

/** Ids of PCI capabilities (`PCI_CAP_ID_*`). */
export const PCI_CAPABILITIES = { EXPRESS: 0x10, MSIX: 0x11 } as const;

/** Offsets in the MSI-X capability, and its size in bytes. */
export const MSIX_CAPABILITY = { CONTROL: 2, TABLE: 4, PBA: 8, SIZE: 12 } as const;

/** Bits of MSI-X's message control; the table's size less one stands in SIZE. */
export const MSIX_CONTROL = { SIZE: 0x7ff, MASK_ALL: 0x4000, ENABLE: 0x8000 } as const;

/** Offsets in an entry of the MSI-X table, its size, and the mask bit of its vector control. */
export const MSIX_ENTRY = { ADDRESS: 0, DATA: 8, CONTROL: 12, SIZE: 16, MASKED: 1 } as const;

/**
 * Where an x86 function writes a message for it to be an interrupt and no store to RAM: the local APICs. The low
 * byte of the data is the vector (Intel SDM volume 3, "Message Signalled Interrupts").
 */
export const X86_MSI = { BASE: 0xfee0_0000n, SIZE: 0x10_0000n, VECTOR: 0xff } as const;

/** Index of the region of a VFIO PCI device that is its configuration space (`VFIO_PCI_CONFIG_REGION_INDEX`). */
export const VFIO_PCI_CONFIG_REGION = 7;
