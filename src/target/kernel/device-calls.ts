import { DeviceError } from '../../uapi/device.js';
import { ERRNO, errnoName } from '../../uapi/errno.js';
import { IOCTLS } from '../../uapi/vfio.js';
import { DeviceFeature, encodeFeatureCall } from '../../uapi/vfio-structs.js';
import type { Answer, Pointed, Syscalls } from './syscalls.js';

/** A VFIO_DEVICE_FEATURE call, GET or SET. */
export interface FeatureRequest {
  index: number;
  data?: Uint8Array;
  /** Memory that the data points at. */
  pointed?: readonly Pointed[];
}

/** The calls that everything of an open device is made of. */
export class DeviceCalls {
  readonly #calls: Syscalls;
  readonly fd: number;

  constructor(calls: Syscalls, fd: number) {
    this.#calls = calls;
    this.fd = fd;
  }

  /** @throws DeviceError with the errno of a call that fails */
  async call(call: Parameters<Syscalls['call']>[0], what: string): Promise<Answer> {
    const answer = await this.#calls.call(call, what);
    if (answer.errno === 0) return answer;
    throw deviceError(answer.errno, what);
  }

  ioctl(request: number, arg: Uint8Array | number, what: string, fd = this.fd): Promise<Answer> {
    return this.call({ call: 'ioctl', fd, request, arg }, what);
  }

  /** @returns the data of the feature, as the kernel left it */
  async get(request: FeatureRequest, what: string): Promise<Uint8Array> {
    return this.#feature(request, 'get', `GET of ${what}`);
  }

  /** @returns the data of the feature, as the kernel left it */
  async set(request: FeatureRequest, what: string): Promise<Uint8Array> {
    return this.#feature(request, 'set', `SET of ${what}`);
  }

  /** Whether the kernel and the driver know the feature. */
  async offers(index: number, way: 'get' | 'set', what: string): Promise<boolean> {
    const arg = encodeFeatureCall({
      index,
      get: way === 'get',
      set: way === 'set',
      probe: true,
      data: new Uint8Array(),
    });
    const { errno } = await this.#calls.call(
      { call: 'ioctl', fd: this.fd, request: IOCTLS.VFIO_DEVICE_FEATURE, arg },
      `PROBE of ${what}`,
    );
    return errno === 0;
  }

  async #feature(request: FeatureRequest, way: 'get' | 'set', what: string): Promise<Uint8Array> {
    const { index, data = new Uint8Array(), pointed = [] } = request;
    const arg = encodeFeatureCall({ index, get: way === 'get', set: way === 'set', probe: false, data });
    const behindHead = pointed.map(({ at, bytes }) => ({ at: at + DeviceFeature.size, bytes }));
    const { bytes, pointed: after } = await this.call(
      { call: 'ioctl', fd: this.fd, request: IOCTLS.VFIO_DEVICE_FEATURE, arg, pointed: behindHead },
      what,
    );
    pointed.forEach((memory, index) => {
      memory.bytes.set(after[index]!);
    });
    return bytes.subarray(DeviceFeature.size);
  }
}

/** The answer of a device that fails with this errno. A number without a name is told as EIO. */
function deviceError(errno: number, what: string): DeviceError {
  const code = errnoName(errno);
  return ERRNO[code] === undefined
    ? new DeviceError('EIO', `${what} fails with ${code}`)
    : new DeviceError(code, `${what} fails`);
}
