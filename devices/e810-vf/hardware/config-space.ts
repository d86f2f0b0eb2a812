import { E810_PCI_ID } from 'stopcopy/uapi';

/**
 * What the VF shows in PCI configuration space. The VMM makes the bytes, and adds MSI-X, which is emulated:
 * its table and pending bits are in the last BAR. There is no INTx and no MSI.
 */
export const E810_VF_FUNCTION = {
  vendor: E810_PCI_ID.vendor,
  device: E810_PCI_ID.device,
  /** Ethernet controller. */
  classCode: 0x020000,
  /**
   * BAR 0 has the registers, BAR 3 is MSI-X's. Sizes, widths, and that it is BAR 3, are from memory. A BAR of
   * 64 bits takes the next index too.
   */
  bars: [
    { size: 0x20000, bits: 64 },
    { size: 0, bits: 32 },
    { size: 0, bits: 32 },
    { size: 0x4000, bits: 64 },
  ],
} as const;
