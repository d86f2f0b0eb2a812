import { DeviceError } from '../../uapi/device.js';
import { IOCTLS } from '../../uapi/vfio.js';
import { RegionInfo } from '../../uapi/vfio-structs.js';
import type { DeviceCalls } from './device-calls.js';

/** Where a region is in the device's file; bytes. */
interface Region {
  offset: bigint;
  size: bigint;
}

/** Reads and writes the regions of a device: pread() and pwrite() at the region's place in its file. */
export class Regions {
  readonly #calls: DeviceCalls;
  readonly #known = new Map<number, Region>();

  constructor(calls: DeviceCalls) {
    this.#calls = calls;
  }

  /** @throws DeviceError; EINVAL when the bytes are not all in the region, EIO when the device gives fewer */
  async read(index: number, offset: number, size: number): Promise<Uint8Array> {
    const what = `read of ${size} bytes at 0x${offset.toString(16)} of region ${index}`;
    const start = await this.#place(index, offset, size, what);
    const all = new Uint8Array(size);
    for (let done = 0; done < size; ) {
      const { bytes } = await this.#calls.call(
        { call: 'read', fd: this.#calls.fd, size: size - done, offset: start + BigInt(done) },
        what,
      );
      if (bytes.length === 0) throw new DeviceError('EIO', `${what} ends after ${done} bytes`);
      all.set(bytes, done);
      done += bytes.length;
    }
    return all;
  }

  /** @throws DeviceError as `read` */
  async write(index: number, offset: number, bytes: Uint8Array): Promise<void> {
    const what = `write of ${bytes.length} bytes at 0x${offset.toString(16)} of region ${index}`;
    const start = await this.#place(index, offset, bytes.length, what);
    for (let done = 0; done < bytes.length; ) {
      const { value } = await this.#calls.call(
        {
          call: 'write',
          fd: this.#calls.fd,
          bytes: bytes.subarray(done),
          offset: start + BigInt(done),
        },
        what,
      );
      if (value <= 0) throw new DeviceError('EIO', `${what} ends after ${done} bytes`);
      done += value;
    }
  }

  /** Behind a region's end the file belongs to the next one. */
  async #place(index: number, offset: number, size: number, what: string): Promise<bigint> {
    const region = this.#known.get(index) ?? (await this.#ask(index));
    if (BigInt(offset) + BigInt(size) > region.size) {
      throw new DeviceError('EINVAL', `${what}: the region has ${region.size} bytes`);
    }
    return region.offset + BigInt(offset);
  }

  async #ask(index: number): Promise<Region> {
    const ask = { argsz: RegionInfo.size, flags: 0, index, cap_offset: 0, size: 0n, offset: 0n };
    const { bytes } = await this.#calls.ioctl(
      IOCTLS.VFIO_DEVICE_GET_REGION_INFO,
      RegionInfo.encode(ask),
      `VFIO_DEVICE_GET_REGION_INFO of region ${index}`,
    );
    const { offset, size } = RegionInfo.decode(bytes);
    this.#known.set(index, { offset, size });
    return { offset, size };
  }
}
