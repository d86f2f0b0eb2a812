/**
 * What migrates: a machine of guest RAM, devices, and what the guest runs. The parts come from elsewhere
 * (`devices/`), so that any device behind the VFIO uAPI can be put in.
 */
import type { Device, IoAddressSpace } from '../uapi/device.js';
import type { VhostBackend, VhostRegion } from '../uapi/vhost-backend.js';
import type { VhostWrite } from '../uapi/vhost-log.js';
import type { VirtioState } from '../vhost/index.js';
import type { VmStateEntry } from '../vmstate/index.js';

/** What the guest's software sees of its machine. Addresses are guest physical, exact below 2^53. */
export interface GuestMemory {
  /** Bytes of RAM, from address 0. */
  readonly size: number;
  /** A CPU load: fills all of `into`. @throws RangeError outside RAM */
  read(address: number, into: Uint8Array): void;
  /** A CPU store, marked in the tracker of the vCPUs. @throws RangeError outside RAM */
  write(address: number, bytes: Uint8Array): void;
}

/** The function in a slot as the guest's software reaches it. What the guest writes counts when the call returns. */
export interface GuestPci {
  /** Reads configuration space, little-endian. @throws RangeError outside of it */
  readConfig(offset: number, size: 1 | 2 | 4): number;
  /** Writes configuration space, little-endian. @throws RangeError outside of it */
  writeConfig(offset: number, size: 1 | 2 | 4, value: number): void;
  /** A store to the MSI-X table, whose entries have 16 bytes. @throws RangeError outside of it */
  writeMsixTable(offset: number, bytes: Uint8Array): void;
}

/** What a machine lends to a device and its guest driver. */
export interface Slot {
  /** Name on the PCI bus, such as `0000:00:04.0`. */
  readonly name: string;
  /** Guest memory as the guest's software reaches it. */
  readonly memory: GuestMemory;
  /** Guest memory as the device reaches it: IOVA equals guest physical address. */
  readonly ioas: IoAddressSpace;
  /** Guest RAM that is the driver's alone, so that several drivers never meet. */
  readonly driverRam: { readonly start: number; readonly size: number };
  /** The function as the guest's driver reaches it: only while vCPUs run. */
  readonly pci: GuestPci;
  /**
   * The device raises an MSI-X vector. Masked by the guest it waits, with MSI-X off it is dropped.
   * @throws RangeError when the function has no such vector
   */
  interrupt(vector: number): void;
}

/** What a guest driver says of its traffic; every count is since its start, on whichever host that was. */
export interface GuestBooks {
  /** Frames that the device was given by the wire and took over (buffer written, not dropped). */
  framesAccepted: number;
  /** Frames that the driver received. */
  framesReceived: number;
  /** Frames that the driver handed to the device. */
  framesSent: number;
  /** Frames of the driver that came out at the wire. */
  framesOnWire: number;
  /** Frames that were accepted and never arrived, or sent and never came out; in flight does not count. */
  framesLost: number;
  framesDuplicated: number;
  framesReordered: number;
  /** Frames whose content was wrong. */
  framesCorrupted: number;
  /** Frames that the wire could not deliver: VF not running, or no buffer. Not lost. */
  framesDropped: number;
  /** Interrupts that did not come: how often finished work was found that no interrupt had told. */
  interruptsMissed: number;
  /** Mailbox requests of the driver, and how many were answered more or less often than once. */
  mailboxRequests: number;
  mailboxMisanswered: number;
  /** What went wrong, in words; empty when nothing did. At most a few. */
  complaints: string[];
}

/** The guest's driver of one device, and everything it knows stands in guest RAM. */
export interface GuestDriver {
  /** Runs for a slice of guest time. Called only while vCPUs run. */
  run(): void;
  /**
   * A vCPU takes an interrupt of the device. Called only while vCPUs run, before the next `run`.
   * @param vector the data of the message, as the driver has written it into the MSI-X table
   */
  interrupt?(vector: number): void;
  /** Whether it is up and has traffic in both directions. */
  readonly isUp: boolean;
  /** What it has counted; for the device's frames in both directions all in flight is waited for by `quiesce`. */
  books(): GuestBooks;
}

/** What a guest tells a PCI function by. */
export interface PciIdentity {
  readonly vendor: number;
  readonly device: number;
  /** Base class, subclass and programming interface, such as 0x020000 for an Ethernet controller. */
  readonly classCode: number;
}

/** What surrounds any device on the host and in the guest. */
export interface MachinePart {
  /** Such as `e810-vf`. */
  readonly model: string;
  /** What source and destination must agree on, in words for people: `queue pairs: 4`. */
  readonly requirements: Readonly<Record<string, string | number>>;
  /** Hardware time goes by. Called while the VM runs, and while devices still may move. */
  tick(): void;
  readonly guest: GuestDriver | null;
  /** State beside the device that crosses as FULL sections of its own, such as the wire of a mock. */
  readonly states: readonly VmStateEntry[];
  /** MACs to announce after the switchover, six bytes each. */
  macs(): readonly Uint8Array[];
  /** Sends a RARP announcement of a MAC out of the device's port. */
  announce(mac: Uint8Array): void;
  /** A digest of the device's whole internal state, to compare two sides; null: cannot be known. */
  digest(): string | null;
}

/** A VFIO device in its slot. */
export interface MachineDevice extends MachinePart {
  readonly device: Device;
  /** PCI as the VMM needs it: who the function is, MSI-X table size, BAR sizes by index. */
  readonly pci: {
    /** Absent: a function that says nothing of itself. */
    readonly identity?: PciIdentity;
    readonly msixVectors: number;
    readonly bars: readonly { readonly size: number; readonly bits: 32 | 64 }[];
  };
}

/** Makes a device for a slot. */
export type DeviceFactory = (slot: Slot) => MachineDevice;

/** What a machine lends to a virtio device with a vhost back end, and to its guest driver. */
export interface VhostSlot extends Pick<Slot, 'name' | 'memory' | 'driverRam'> {
  /** All guest RAM, as the back end is given it. */
  readonly regions: readonly VhostRegion[];
  /** The guest's driver has set the device up (DRIVER_OK): it starts, when it can. */
  driverOk(state: VirtioState): void;
  /** The guest's driver notifies a queue. */
  kick(index: number): void;
  /** A back end of this process has written guest memory: at the address that the write has to be logged by. */
  wrote(write: BackEndWrite): void;
}

/** A write of a back end; bytes. */
export interface BackEndWrite {
  /** Number of the queue. */
  readonly index: number;
  readonly what: VhostWrite;
  /** Guest physical. */
  readonly address: number;
  readonly length: number;
}

/** A virtio device whose back end is driven over vhost. The guest's `interrupt` gets the number of a queue. */
export interface VhostMachine extends MachinePart {
  readonly backend: VhostBackend;
  /** Features that the guest's driver can make use of. */
  readonly driverFeatures: bigint;
}

/** Makes a virtio device for a slot. */
export type VhostFactory = (slot: VhostSlot) => VhostMachine;
