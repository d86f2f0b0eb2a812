import {
  DeviceError,
  type IotlbMessage,
  type SharedMemory,
  VHOST_ACCESS,
  VHOST_IOTLB,
  type VhostRegion,
} from 'stopcopy/uapi';

/** Bytes that stand together in memory of the front end, and the user address that they have there. */
export interface Piece {
  readonly bytes: Uint8Array;
  /** The memory that they are of, and where in it. */
  readonly memory: SharedMemory;
  readonly start: number;
  readonly uaddr: number;
}

/** A run of guest physical addresses. */
export interface GpaRun {
  readonly address: number;
  readonly length: number;
}

const hex = (address: number): string => `0x${address.toString(16)}`;

/** Addresses end where numbers are not exact any more; what is behind is no address of anybody. */
function checked(address: number, length: number): void {
  if (!Number.isSafeInteger(address) || address < 0 || !Number.isSafeInteger(address + length))
    throw new DeviceError('EFAULT', `${length} bytes at ${hex(address)} are no addresses`);
}

/** Guest memory as SET_MEM_TABLE gives it, by guest physical and by user address. */
export class MemoryTable {
  readonly regions: readonly VhostRegion[];
  /** The region that was found last: most lookups stay in it. */
  #last: VhostRegion | undefined;

  /** @throws DeviceError EFAULT when a region does not lie in its memory, or wraps */
  constructor(regions: readonly VhostRegion[]) {
    for (const { gpa, size, uaddr, offset, memory } of regions) {
      checked(gpa, size);
      checked(uaddr, size);
      if (size === 0 || offset < 0 || offset + size > memory.bytes.length)
        throw new DeviceError('EFAULT', `the region at ${hex(gpa)} does not lie in its memory`);
    }
    this.regions = regions;
  }

  /** @throws DeviceError EFAULT when a byte is in no region */
  byGpa(address: number, length: number): Piece[] {
    return this.#pieces(address, length, 'gpa');
  }

  /** @throws DeviceError EFAULT when a byte is in no region */
  byUaddr(address: number, length: number): Piece[] {
    return this.#pieces(address, length, 'uaddr');
  }

  /**
   * Every guest physical address of a run of user addresses: memory that several regions show has several.
   * Bytes that no region shows have none.
   */
  gpasOf(uaddr: number, length: number): GpaRun[] {
    return this.regions.flatMap((region) => {
      const from = Math.max(uaddr, region.uaddr);
      const to = Math.min(uaddr + length, region.uaddr + region.size);
      return from < to ? [{ address: region.gpa + (from - region.uaddr), length: to - from }] : [];
    });
  }

  #pieces(address: number, length: number, key: 'gpa' | 'uaddr'): Piece[] {
    checked(address, length);
    const pieces: Piece[] = [];
    for (let at = address, left = length; left > 0; ) {
      const region = this.#find(at, key);
      const inside = at - region[key];
      const size = Math.min(left, region.size - inside);
      const start = region.offset + inside;
      const { memory } = region;
      const bytes = memory.bytes.subarray(start, start + size);
      pieces.push({ bytes, memory, start, uaddr: region.uaddr + inside });
      at += size;
      left -= size;
    }
    return pieces;
  }

  #find(at: number, key: 'gpa' | 'uaddr'): VhostRegion {
    const last = this.#last;
    if (last !== undefined && at >= last[key] && at < last[key] + last.size) return last;
    const found = this.regions.find((region) => at >= region[key] && at < region[key] + region.size);
    if (found === undefined)
      throw new DeviceError('EFAULT', `no region of guest memory has ${key} ${hex(at)}`);
    this.#last = found;
    return found;
  }
}

/** A mapping of an IOTLB. */
export interface IotlbEntry {
  readonly iova: number;
  readonly size: number;
  readonly uaddr: number;
  /** A value of `VHOST_ACCESS`. */
  readonly perm: number;
}

/** Most mappings of an address space, so that a peer cannot fill memory with them. */
const MOST_ENTRIES = 65_536;

/** An address space of I/O addresses, as IOTLB messages make it. */
export class Iotlb {
  #entries: IotlbEntry[] = [];

  get entries(): readonly IotlbEntry[] {
    return this.#entries;
  }

  /**
   * Takes an update or invalidate message.
   * @param exclusive an update over a mapping is refused (vhost-vdpa); else it takes its place (vhost)
   * @throws DeviceError EINVAL: size 0 or no such type; EEXIST; ENOSPC: too many mappings
   */
  take({ type, iova, size, uaddr, perm }: IotlbMessage, exclusive: boolean): void {
    if (type === VHOST_IOTLB.INVALIDATE) {
      this.#remove(iova, size);
      return;
    }
    if (type !== VHOST_IOTLB.UPDATE)
      throw new DeviceError('EINVAL', `an IOTLB message of type ${type} is not for a back end`);
    if (size <= 0) throw new DeviceError('EINVAL', `a mapping of ${size} bytes`);
    checked(iova, size);
    checked(uaddr, size);
    if (this.#entries.some((entry) => entry.iova < iova + size && iova < entry.iova + entry.size)) {
      if (exclusive) throw new DeviceError('EEXIST', `something is mapped at ${hex(iova)} already`);
      this.#remove(iova, size);
    }
    if (this.#entries.length >= MOST_ENTRIES)
      throw new DeviceError('ENOSPC', `more than ${MOST_ENTRIES} mappings`);
    this.#entries.push({ iova, size, uaddr, perm });
  }

  /**
   * User addresses of a run of I/O addresses.
   * @throws DeviceError EFAULT when a byte is not mapped for this access
   */
  translate(iova: number, length: number, access: number): GpaRun[] {
    checked(iova, length);
    const runs: GpaRun[] = [];
    for (let at = iova, left = length; left > 0; ) {
      const entry = this.#entries.find(({ iova: from, size }) => at >= from && at < from + size);
      if (entry === undefined || (entry.perm & access) !== access)
        throw new DeviceError('EFAULT', `I/O address ${hex(at)} is not mapped for this access`);
      const size = Math.min(left, entry.iova + entry.size - at);
      runs.push({ address: entry.uaddr + (at - entry.iova), length: size });
      at += size;
      left -= size;
    }
    return runs;
  }

  /** A mapping goes as a whole, as in the kernel's interval tree, once a byte of it is in the range. */
  #remove(iova: number, size: number): void {
    this.#entries = this.#entries.filter(
      (entry) => entry.iova >= iova + size || iova >= entry.iova + entry.size,
    );
  }
}

/** Memory by the addresses that descriptors carry, with the place of rings apart. */
export interface AddressSpace {
  /** @throws DeviceError EFAULT when a byte of it is not mapped for this access */
  pieces(address: number, length: number, access: number): Piece[];
}

/**
 * Rings that are given by user address have a space of their own above all guest addresses: what a queue is
 * told as the address of its parts.
 */
export const RING_SPACE = 2 ** 52;

/** Descriptors carry guest physical addresses; rings are given by user address. */
export class DirectSpace implements AddressSpace {
  readonly #table: () => MemoryTable;

  /** @param table the memory table as it is now */
  constructor(table: () => MemoryTable) {
    this.#table = table;
  }

  pieces(address: number, length: number): Piece[] {
    if (address >= RING_SPACE) return this.#table().byUaddr(address - RING_SPACE, length);
    return this.#table().byGpa(address, length);
  }
}

/** Descriptors and rings carry I/O addresses. */
export class IovaSpace implements AddressSpace {
  readonly #iotlb: () => Iotlb;
  readonly #table: () => MemoryTable;

  /** @param table where the memory of user addresses is */
  constructor(iotlb: () => Iotlb, table: () => MemoryTable) {
    this.#iotlb = iotlb;
    this.#table = table;
  }

  pieces(address: number, length: number, access: number): Piece[] {
    const runs = this.#iotlb().translate(address, length, access);
    return runs.flatMap((run) => this.#table().byUaddr(run.address, run.length));
  }
}

/** Copies bytes out of memory. @throws DeviceError EFAULT */
export function readFrom(space: AddressSpace, address: number, into: Uint8Array): void {
  let at = 0;
  for (const { bytes } of space.pieces(address, into.length, VHOST_ACCESS.RO)) {
    into.set(bytes, at);
    at += bytes.length;
  }
}

/** Copies bytes into memory, all of them or none. @throws DeviceError EFAULT */
export function writeTo(space: AddressSpace, address: number, bytes: Uint8Array): void {
  let at = 0;
  for (const piece of space.pieces(address, bytes.length, VHOST_ACCESS.WO)) {
    piece.memory.beforeWrite?.(piece.start, piece.bytes.length);
    piece.bytes.set(bytes.subarray(at, at + piece.bytes.length));
    at += piece.bytes.length;
  }
}
