import type { MachineDevice, Slot } from '../../src/migrate/index.js';
import { PciSlot } from '../../src/migrate/pci-slot.js';
import { parseWhole } from '../../src/stream/index.js';
import { DeviceError } from '../../src/uapi/index.js';

const PAGE = 4096;

/** A machine of nothing but RAM and a PCI bus: a slot for one device, and which pages were written, by whom. */
export interface MachineSlot extends Slot {
  readonly ram: Uint8Array;
  /** What the VMM has of the function, from `plug` on. */
  readonly bus: PciSlot;
  /** Pages that a vCPU stored to. */
  readonly cpuDirty: Set<number>;
  /** Pages that a device wrote. */
  readonly deviceDirty: Set<number>;
  /** Decides the fate of a DMA write: false, and it never reaches memory. */
  dmaWrite: (iova: number, bytes: Uint8Array) => boolean;
}

/** @param start where the RAM of the driver begins; it goes to the end */
export function machineSlot(size = 4 << 20, start = 1 << 20, name = '0000:00:04.0'): MachineSlot {
  const ram = new Uint8Array(size);
  const mark = (pages: Set<number>, address: number, length: number) => {
    for (let page = Math.floor(address / PAGE); page * PAGE < address + length; page++) pages.add(page);
  };
  const inside = (address: number, length: number) =>
    Number.isInteger(address) && address >= 0 && address + length <= size;
  const check = (address: number, length: number) => {
    if (!inside(address, length)) throw new RangeError(`0x${address.toString(16)} is outside RAM`);
  };
  const map = (iova: number, length: number) => {
    if (!inside(iova, length)) throw new DeviceError('EFAULT', `0x${iova.toString(16)} is not mapped`);
  };
  const [cpuDirty, deviceDirty] = [new Set<number>(), new Set<number>()];
  const bus = new PciSlot(name);
  const slot: MachineSlot = {
    name,
    ...bus.lent,
    bus,
    ram,
    cpuDirty,
    deviceDirty,
    dmaWrite: () => true,
    driverRam: { start, size: size - start },
    memory: {
      size,
      read: (address, into) => {
        check(address, into.length);
        into.set(ram.subarray(address, address + into.length));
      },
      write: (address, bytes) => {
        check(address, bytes.length);
        ram.set(bytes, address);
        mark(cpuDirty, address, bytes.length);
      },
    },
    ioas: {
      read: (iova, into) => {
        map(iova, into.length);
        into.set(ram.subarray(iova, iova + into.length));
      },
      write: (iova, bytes) => {
        map(iova, bytes.length);
        if (!slot.dmaWrite(iova, bytes)) return;
        ram.set(bytes, iova);
        mark(deviceDirty, iova, bytes.length);
      },
    },
  };
  return slot;
}

/** What the VMM has of a function crosses: its configuration, and interrupts that no vCPU has taken. */
export async function moveFunction(from: PciSlot, to: PciSlot): Promise<void> {
  parseWhole(from.function.saveConfig(), to.function.configParser());
  await to.function.replay();
  to.requests.requests = from.requests.requests;
}

/** A machine's device is put into its slot. */
export function plugged(slot: MachineSlot, machine: MachineDevice): MachineDevice {
  slot.bus.plug(machine);
  return machine;
}
