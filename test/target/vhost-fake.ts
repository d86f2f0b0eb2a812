import { type Linux, loadLinux } from '../../src/linux/index.js';
import { DeviceError } from '../../src/uapi/index.js';
import { VHOST_IOCTLS, VHOST_VDPA_IOCTLS } from '../../src/uapi/vhost.js';

const NAMES = new Map<number, string>(
  Object.entries({ ...VHOST_IOCTLS, ...VHOST_VDPA_IOCTLS }).map(([name, number]) => [number, name]),
);

/** A call that a kernel without vhost was spared. */
export interface FakeCall {
  readonly name: string;
  readonly fd: number;
  /** The argument as it was given. */
  readonly arg: Uint8Array;
}

export interface FakeKernel {
  readonly linux: Linux;
  readonly calls: FakeCall[];
  /** What was written to descriptors of vhost. */
  readonly written: Uint8Array[];
  /** What ioctls do, by name: change the argument, or throw. */
  readonly answers: Record<string, (arg: Uint8Array) => void>;
  /** A descriptor that stands for an open file of vhost. */
  device(): number;
}

/** This host's system calls, but that ioctls of vhost and writes to its files are only noted. */
export async function fakeKernel(): Promise<FakeKernel> {
  const real = await loadLinux();
  const devices = new Set<number>();
  const kernel: Omit<FakeKernel, 'linux'> = {
    calls: [],
    written: [],
    answers: {},
    device() {
      const fd = real.memfd('vhost', 4096);
      devices.add(fd);
      return fd;
    },
  };
  const linux = new Proxy(real, {
    get(target, property) {
      if (property === 'ioctl')
        return (fd: number, request: number, arg: Uint8Array | number = 0) => {
          const name = NAMES.get(request) ?? `0x${request.toString(16)}`;
          const bytes = typeof arg === 'number' ? new Uint8Array() : arg;
          kernel.calls.push({ name, fd, arg: bytes.slice() });
          kernel.answers[name]?.(bytes);
          return 0;
        };
      if (property === 'write')
        return (fd: number, bytes: Uint8Array) => {
          if (!devices.has(fd)) return target.write(fd, bytes);
          kernel.written.push(bytes.slice());
          return bytes.length;
        };
      const value = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { linux, ...kernel };
}

/** An ioctl that fails. */
export const failing = (code: string) => () => {
  throw new DeviceError(code, 'as the test wants it');
};
