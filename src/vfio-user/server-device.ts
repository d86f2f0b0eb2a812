import { DeviceError } from '../uapi/device.js';
import type { VfioUserCommand } from '../uapi/vfio-user.js';
import {
  VFIO_USER_IRQ_SET as IRQ_SET,
  VFIO_USER_DEVICE_FLAGS,
  VFIO_USER_IRQ_FLAGS,
  VFIO_USER_REGION_FLAGS,
  VFIO_USER_UNMAP_FLAGS,
  VfioUserBitmap,
  VfioUserDeviceInfo,
  VfioUserDmaMap,
  VfioUserDmaUnmap,
  VfioUserIrqInfo,
  VfioUserIrqSet,
  VfioUserRegionAccess,
  VfioUserRegionInfo,
  VfioUserRegionIoFds,
  VfioUserWriteMulti,
  VfioUserWriteMultiEntry,
} from '../uapi/vfio-user-device.js';
import { VFIO_USER_DEFAULTS } from '../uapi/vfio-user-version.js';
import type { Command, ServedDevice } from './server.js';
import { decoded, need, type Shared } from './server-shared.js';

const NONE = new Uint8Array();
const DATA_KINDS = IRQ_SET.DATA_NONE | IRQ_SET.DATA_BOOL | IRQ_SET.DATA_EVENTFD;
const ACTIONS = IRQ_SET.ACTION_MASK | IRQ_SET.ACTION_UNMASK | IRQ_SET.ACTION_TRIGGER;

/** Bytes that one access to a region may have. */
const MOST_REGION_DATA = VFIO_USER_DEFAULTS.maxDataXferSize;

/** The commands that describe the device, and reach its regions. */
export function deviceCommands(
  shared: Shared,
  served: ServedDevice,
): Partial<Record<VfioUserCommand, Command>> {
  return {
    ...informing(served),
    ...mapping(shared),
    ...reaching(shared, served),
    DEVICE_RESET: async () => {
      const { device } = shared;
      if (!device.offersReset) throw new DeviceError('ENOTTY', `${device.name} has no reset`);
      await device.reset();
      return NONE;
    },
  };
}

function informing({ device, regions, irqs }: ServedDevice) {
  const { READ, WRITE } = VFIO_USER_REGION_FLAGS;
  return {
    DEVICE_GET_INFO: (payload) => {
      const { argsz } = decoded(VfioUserDeviceInfo, payload);
      need(argsz >= VfioUserDeviceInfo.size, `argsz ${argsz}`);
      const { RESET, PCI } = VFIO_USER_DEVICE_FLAGS;
      return VfioUserDeviceInfo.encode({
        argsz: VfioUserDeviceInfo.size,
        flags: PCI | (device.offersReset ? RESET : 0),
        num_regions: regions.length,
        num_irqs: irqs.length,
      });
    },
    DEVICE_GET_REGION_INFO: (payload) => {
      const { argsz, index } = decoded(VfioUserRegionInfo, payload);
      const size = regions[index];
      need(argsz >= VfioUserRegionInfo.size, `argsz ${argsz}`);
      need(size !== undefined, `there is no region ${index}`);
      return VfioUserRegionInfo.encode({
        argsz: VfioUserRegionInfo.size,
        flags: size > 0 ? READ | WRITE : 0,
        index,
        cap_offset: 0,
        size: BigInt(size),
        offset: 0n,
      });
    },
    DEVICE_GET_REGION_IO_FDS: (payload) => {
      const { argsz, index } = decoded(VfioUserRegionIoFds, payload);
      need(argsz >= VfioUserRegionIoFds.size, `argsz ${argsz}`);
      need(regions[index] !== undefined, `there is no region ${index}`);
      return VfioUserRegionIoFds.encode({ argsz: VfioUserRegionIoFds.size, flags: 0, index, count: 0 });
    },
    DEVICE_GET_IRQ_INFO: (payload) => {
      const { argsz, index } = decoded(VfioUserIrqInfo, payload);
      const count = irqs[index];
      need(argsz >= VfioUserIrqInfo.size, `argsz ${argsz}`);
      need(count !== undefined, `there is no interrupt ${index}`);
      const flags = count > 0 ? VFIO_USER_IRQ_FLAGS.EVENTFD | VFIO_USER_IRQ_FLAGS.NORESIZE : 0;
      return VfioUserIrqInfo.encode({ argsz: VfioUserIrqInfo.size, flags, index, count });
    },
    DEVICE_SET_IRQS: (payload) => {
      checkIrqSet(irqs, payload);
      return NONE;
    },
  } satisfies Partial<Record<VfioUserCommand, Command>>;
}

/** Descriptors cannot be taken here, so a correct request succeeds, and no interrupt ever arrives. */
function checkIrqSet(irqs: readonly number[], payload: Uint8Array): void {
  const { flags, index, start, count } = decoded(VfioUserIrqSet, payload);
  const most = irqs[index];
  need(most !== undefined, `there is no interrupt ${index}`);
  need(isOneOf(flags, DATA_KINDS) && isOneOf(flags, ACTIONS), `flags 0x${flags.toString(16)} of SET_IRQS`);
  need(start + count <= most, `interrupts ${start} to ${start + count} of ${most}`);
  const bytes = (flags & IRQ_SET.DATA_BOOL) !== 0 ? count : 0;
  need(payload.length >= VfioUserIrqSet.size + bytes, 'SET_IRQS has less data than it says');
}

/** Whether exactly one bit of a group is set. */
function isOneOf(flags: number, group: number): boolean {
  const bits = flags & group;
  return bits !== 0 && (bits & (bits - 1)) === 0;
}

function mapping({ maps, device, maxData }: Shared) {
  return {
    DMA_MAP: (payload) => {
      const { argsz, ...range } = decoded(VfioUserDmaMap, payload);
      need(argsz >= VfioUserDmaMap.size, `argsz ${argsz}`);
      maps.map(range);
      return NONE;
    },
    DMA_UNMAP: async (payload) => {
      const { argsz, flags, addr, size } = decoded(VfioUserDmaUnmap, payload);
      const { ALL, DIRTY_BITMAP } = VFIO_USER_UNMAP_FLAGS;
      need(argsz >= VfioUserDmaUnmap.size && flags <= ALL, `argsz ${argsz}, flags ${flags}`);
      const echo = payload.subarray(0, VfioUserDmaUnmap.size);
      if (flags === ALL) {
        need(addr === 0n && size === 0n, 'to unmap all, address and size are 0');
        maps.clear();
        return echo;
      }
      maps.need(addr, size);
      const answer = flags === DIRTY_BITMAP ? await bitmapOf(payload, argsz, addr, size) : NONE;
      maps.unmap(addr, size);
      return Buffer.concat([echo, answer]);
    },
  } satisfies Partial<Record<VfioUserCommand, Command>>;

  async function bitmapOf(payload: Uint8Array, argsz: number, iova: bigint, length: bigint) {
    const { pgsize: pageSize, size } = decoded(VfioUserBitmap, payload, VfioUserDmaUnmap.size);
    const { dmaLogging } = device;
    need(dmaLogging !== null && pageSize > 0n, 'there is no dirty bitmap');
    const bytes = (((length + pageSize - 1n) / pageSize + 63n) / 64n) * 8n;
    const room = BigInt(argsz - VfioUserDmaUnmap.size - VfioUserBitmap.size);
    need(
      bytes <= size && bytes <= room && bytes <= BigInt(maxData()),
      `no room for a bitmap of ${bytes} bytes`,
    );
    const bitmap = await dmaLogging.report({ iova, length, pageSize });
    return Buffer.concat([VfioUserBitmap.encode({ pgsize: pageSize, size: bytes }), bitmap.bytes]);
  }
}

function reaching({ device }: Shared, { regions }: ServedDevice) {
  /** Where an access is, in numbers. */
  const placed = (offset: bigint, region: number, count: number): number => {
    const size = regions[region] ?? 0;
    need(size > 0, `there is no region ${region}`);
    // A client knows what it can take: what it has said of that binds the server's own data.
    need(count <= MOST_REGION_DATA, `${count} bytes are too many for a message`);
    need(
      offset + BigInt(count) <= BigInt(size),
      `${count} bytes at ${offset} of region ${region}, of ${size}`,
    );
    return Number(offset);
  };
  return {
    REGION_READ: async (payload) => {
      const { offset, region, count } = decoded(VfioUserRegionAccess, payload);
      const at = placed(offset, region, count);
      const head = VfioUserRegionAccess.encode({ offset, region, count });
      if (count === 0) return head;
      return Buffer.concat([head, await device.readRegion(region, at, count)]);
    },
    REGION_WRITE: async (payload) => {
      const { offset, region, count } = decoded(VfioUserRegionAccess, payload);
      const at = placed(offset, region, count);
      need(payload.length >= VfioUserRegionAccess.size + count, 'REGION_WRITE has less data than it says');
      const data = payload.subarray(VfioUserRegionAccess.size, VfioUserRegionAccess.size + count);
      if (count > 0) await device.writeRegion(region, at, data);
      return VfioUserRegionAccess.encode({ offset, region, count });
    },
    /** The writes before one that fails have happened, as if each had come alone. */
    REGION_WRITE_MULTI: async (payload) => {
      const { wr_cnt: count } = decoded(VfioUserWriteMulti, payload);
      const { size: entrySize } = VfioUserWriteMultiEntry;
      const room = BigInt(Math.floor((payload.length - VfioUserWriteMulti.size) / entrySize));
      need(count <= room, `${count} writes are announced, and ${room} have come`);
      for (let index = 0; index < Number(count); index++) {
        const entry = decoded(VfioUserWriteMultiEntry, payload, VfioUserWriteMulti.size + index * entrySize);
        need(entry.count > 0 && entry.count <= entry.data.length, `a write of ${entry.count} bytes`);
        const at = placed(entry.offset, entry.region, entry.count);
        await device.writeRegion(entry.region, at, entry.data.subarray(0, entry.count));
      }
      return VfioUserWriteMulti.encode({ wr_cnt: count });
    },
  } satisfies Partial<Record<VfioUserCommand, Command>>;
}
