/** State as versioned field descriptions, in the manner of QEMU's VMState. */
export {
  type DescribedEntry,
  type DescribedField,
  type DescribedState,
  describeBytes,
  describeEntry,
  describeVmState,
  vmDescriptionText,
} from './describe.js';
export type { VmField, VmFieldType, VmInteger, VmStateDescription } from './description.js';
export type { VmStateEntry } from './entry.js';
export { VmStateError } from './error.js';
export { loadVmState } from './load.js';
export { type PciDeviceShape, type PciDeviceTarget, pbaBytes, pciDeviceState } from './pci-device.js';
export { saveVmState } from './save.js';
