import type { Slot } from 'stopcopy/migrate';
import {
  MSIX_CAPABILITY,
  MSIX_CONTROL,
  MSIX_ENTRY,
  PCI_CAPABILITIES,
  PCI_COMMAND,
  PCI_CONFIG,
  X86_MSI,
} from 'stopcopy/uapi';

/** More capabilities than fit: a list that is longer goes in a circle. */
const MOST_CAPABILITIES = 48;

/**
 * Brings the function to where its device may do DMA and send interrupts: every vector to the first local APIC,
 * with its own number as the data. Whatever was set up before is set up anew.
 * @returns what is missing, in words, or null
 */
export function enableMsix(pci: Slot['pci'], vectors: number): string | null {
  const at = findCapability(pci, PCI_CAPABILITIES.MSIX);
  if (at === null) return 'the function has no MSI-X';
  const control = pci.readConfig(at + MSIX_CAPABILITY.CONTROL, 2);
  const size = (control & MSIX_CONTROL.SIZE) + 1;
  if (size < vectors) return `the MSI-X table has ${size} vectors, and the driver needs ${vectors}`;
  const command = pci.readConfig(PCI_CONFIG.COMMAND, 2);
  pci.writeConfig(PCI_CONFIG.COMMAND, 2, command | PCI_COMMAND.MEMORY | PCI_COMMAND.MASTER);
  // Masked as a whole, so that no message goes out by an entry that is half written.
  pci.writeConfig(at + MSIX_CAPABILITY.CONTROL, 2, control | MSIX_CONTROL.ENABLE | MSIX_CONTROL.MASK_ALL);
  for (let vector = 0; vector < vectors; vector++)
    pci.writeMsixTable(MSIX_ENTRY.SIZE * vector, messageTo(vector));
  pci.writeConfig(at + MSIX_CAPABILITY.CONTROL, 2, (control | MSIX_CONTROL.ENABLE) & ~MSIX_CONTROL.MASK_ALL);
  return null;
}

/** An entry of the MSI-X table that is not masked. */
function messageTo(vector: number): Uint8Array {
  const entry = new Uint8Array(MSIX_ENTRY.SIZE);
  const view = new DataView(entry.buffer);
  view.setBigUint64(MSIX_ENTRY.ADDRESS, X86_MSI.BASE, true);
  view.setUint32(MSIX_ENTRY.DATA, vector, true);
  return entry;
}

/** Offset of a capability, or null. */
function findCapability(pci: Slot['pci'], id: number): number | null {
  let at = pci.readConfig(PCI_CONFIG.CAPABILITY_LIST, 1);
  for (let count = 0; at !== 0 && count < MOST_CAPABILITIES; count++) {
    if (pci.readConfig(at, 1) === id) return at;
    at = pci.readConfig(at + 1, 1);
  }
  return null;
}
