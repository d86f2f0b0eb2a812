import { MSIX_ENTRY } from '../uapi/pci.js';
import type { VmStateDescription } from './description.js';

/** What the bytes of a VFIO device's config state depend on, and do not tell. */
export interface PciDeviceShape {
  /** Bytes of config space: 256 for conventional PCI, 4096 for PCI Express. */
  readonly configSize: 256 | 4096;
  /** Vectors of the MSI-X table; 0: the device has no MSI-X. */
  readonly msixVectors: number;
  /** Whether there is a display (ramfb) that migrates; default false. */
  readonly display?: boolean;
}

/** What `pciDeviceState` saves and loads. */
export interface PciDeviceTarget {
  readonly pdev: {
    /** Version of PCIDevice when it was saved. */
    version_id: number;
    config: Uint8Array;
    /** Levels of INTA# to INTD#. */
    irq_state: ArrayLike<number>;
  };
  /** Table entries of 16 bytes, and the bits of the pending bit array. Only with MSI-X. */
  readonly msix?: { table: Uint8Array; pba: Uint8Array };
  /** Only with a display. */
  readonly dpy?: { ramfb: { cfg: Uint8Array } };
}

const INTX_PINS = 4;
const PCI_DEVICE_VERSION = 2;
/** `RAMFBCfg`: u64 address, then fourcc, flags, width, height, stride, u32 each [from memory]. */
const RAMFB_CONFIG = 28;

/** Bytes of the pending bit array as the state has it. QEMU writes no padding to 64 bits [from memory]. */
export function pbaBytes(vectors: number): number {
  return Math.ceil(vectors / 8);
}

/**
 * PCIDevice (`hw/pci/pci.c`). A stream of QEMU 11.1 confirms version, order and sizes, with 4096 bytes of config
 * space. QEMU refuses a version above its own and a negative one [from memory].
 */
function pciDevice(configSize: number): VmStateDescription {
  return {
    name: 'PCIDevice',
    version: PCI_DEVICE_VERSION,
    minimumVersion: 1,
    fields: [
      { name: 'version_id', type: 's32' },
      { name: 'config', type: { buffer: configSize } },
      { name: 'irq_state', type: { array: 'u32', count: INTX_PINS } },
    ],
    postLoad: (target) => {
      const { version_id: version } = target as PciDeviceTarget['pdev'];
      if (version >= 0 && version <= PCI_DEVICE_VERSION) return;
      throw new Error(
        `version ${version} of PCIDevice is not supported here (0 to ${PCI_DEVICE_VERSION} are)`,
      );
    },
  };
}

/** `msix_save` in `hw/pci/msix.c` [from memory]. */
function msix(vectors: number): VmStateDescription {
  return {
    name: 'msix',
    version: 1,
    minimumVersion: 1,
    fields: [
      { name: 'table', type: { buffer: MSIX_ENTRY.SIZE * vectors } },
      { name: 'pba', type: { buffer: pbaBytes(vectors) } },
    ],
  };
}

/** A struct in a struct in the subsection, with the guest's framebuffer [from memory]. */
const RAMFB: VmStateDescription = {
  name: 'ramfb',
  version: 1,
  minimumVersion: 1,
  fields: [{ name: 'cfg', type: { buffer: RAMFB_CONFIG } }],
};
const DISPLAY: VmStateDescription = {
  name: 'VFIODisplay',
  version: 1,
  minimumVersion: 1,
  fields: [{ name: 'ramfb', type: { struct: RAMFB } }],
};

/**
 * The config state of a VFIO PCI device (`vmstate_vfio_pci_config` in `hw/vfio/pci.c`): what follows
 * DEV_CONFIG_STATE. Its version does not stand in the stream, and QEMU loads it as version 1. The target is a
 * `PciDeviceTarget` of the same shape.
 *
 * The subsection with a display's ramfb is known in any case, so that a stream with one is read to its end; a
 * device without a display then refuses it.
 */
export function pciDeviceState({ configSize, msixVectors, display }: PciDeviceShape): VmStateDescription {
  const fields: VmStateDescription['fields'] = [{ name: 'pdev', type: { struct: pciDevice(configSize) } }];
  return {
    name: 'VFIOPCIDevice',
    version: 1,
    minimumVersion: 1,
    fields: msixVectors === 0 ? fields : [...fields, { name: 'msix', type: { struct: msix(msixVectors) } }],
    subsections: [
      {
        name: 'VFIOPCIDevice/VFIODisplay',
        version: 1,
        minimumVersion: 1,
        fields: [{ name: 'dpy', type: { struct: DISPLAY } }],
        needed: () => display === true,
        postLoad: () => {
          if (display !== true) throw new Error("the source's device has a display, this one has none");
        },
      },
    ],
  };
}
