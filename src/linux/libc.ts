import { DeviceError } from '../uapi/device.js';
import { ERRNO, errnoName } from '../uapi/errno.js';

/** The system calls cannot be made here at all. */
export class LinuxError extends Error {
  override readonly name = 'LinuxError';
}

/** What of a descriptor is waited for. */
export interface Interest {
  readonly readable?: boolean;
  readonly writable?: boolean;
}

/**
 * Functions of libc, as koffi makes them. Addresses are numbers, which are exact for user space; -1 is a failure,
 * and errno has why.
 */
export interface Libc {
  open(path: string, flags: number, mode: number): number;
  close(fd: number): number;
  fcntl(fd: number, command: number, arg: number): number;
  pipe2(two: Uint8Array, flags: number): number;
  ioctlBytes(fd: number, request: number, arg: Uint8Array): number;
  ioctlNumber(fd: number, request: number, arg: number): number;
  read(fd: number, into: Uint8Array, size: number): number;
  write(fd: number, bytes: Uint8Array, size: number): number;
  memfd(name: string, flags: number): number;
  ftruncate(fd: number, size: number): number;
  mmap(at: number, length: number, prot: number, flags: number, fd: number, offset: number): number;
  munmap(at: number, length: number): number;
  eventfd(initial: number, flags: number): number;
  epollCreate(flags: number): number;
  epollControl(epoll: number, operation: number, fd: number, event: Uint8Array): number;
  setitimer(which: number, value: Uint8Array, old: null): number;
  socket(family: number, type: number, protocol: number): number;
  socketpair(family: number, type: number, protocol: number, two: Uint8Array): number;
  connect(fd: number, address: Uint8Array, length: number): number;
  bind(fd: number, address: Uint8Array, length: number): number;
  listen(fd: number, backlog: number): number;
  accept4(fd: number, address: null, length: null, flags: number): number;
  shutdown(fd: number, how: number): number;
  sendmsg(fd: number, message: number, flags: number): number;
  recvmsg(fd: number, message: number, flags: number): number;
}

/** libc, with what koffi itself does. */
export interface Foreign {
  readonly libc: Libc;
  /** errno of the last call of this thread. */
  errno(): number;
  /** Memory at an address, without a copy; at most `LONGEST_VIEW` bytes. */
  view(address: number, length: number): ArrayBuffer;
  /** Memory that stays where it is, and is never given back. */
  fixed(size: number): { readonly bytes: Uint8Array; readonly address: number };
  /** libuv's watch of a descriptor that epoll takes. */
  poll(fd: number, interest: Interest, told: PollTold): PollHandle;
}

/** As koffi has it at run time; its types leave the status out, which is an error below 0. */
export interface PollHandle {
  start(interest: Interest, told: PollTold): void;
  stop(): void;
  close(): void;
}
export type PollTold = (status: number, events: { readable: boolean; writable: boolean }) => void;

/** Most bytes of one `ArrayBuffer` that every Node.js in use can have. */
export const LONGEST_VIEW = 2 ** 32 - 4096;

/** Processors whose layouts and numbers are those written down here. */
const ARCHITECTURES = ['x64', 'arm64', 'riscv64', 'loong64'];

/** @throws LinuxError when this is not Linux, or koffi is not there */
export async function loadForeign(): Promise<Foreign> {
  if (process.platform !== 'linux')
    throw new LinuxError(`this works on Linux only, and this system is ${process.platform}`);
  if (!ARCHITECTURES.includes(process.arch))
    throw new LinuxError(
      `this works on ${ARCHITECTURES.join(', ')} only, and this processor is ${process.arch}`,
    );
  const { default: koffi } = await import('koffi').catch((error: Error) => {
    throw new LinuxError(
      `koffi, which makes the system calls, cannot be loaded (${error.message}): npm install koffi`,
    );
  });
  const lib = koffi.load(null);
  const f = (name: string, result: string, ...args: string[]) => lib.func(name, result, args);
  const libc = {
    open: f('open', 'int', 'str', 'int', 'int'),
    close: f('close', 'int', 'int'),
    fcntl: f('fcntl', 'int', 'int', 'int', 'long'),
    pipe2: f('pipe2', 'int', 'void *', 'int'),
    ioctlBytes: f('ioctl', 'int', 'int', 'unsigned long', 'void *'),
    ioctlNumber: f('ioctl', 'int', 'int', 'unsigned long', 'unsigned long'),
    read: f('read', 'long', 'int', 'void *', 'size_t'),
    write: f('write', 'long', 'int', 'void *', 'size_t'),
    memfd: f('memfd_create', 'int', 'str', 'uint'),
    ftruncate: f('ftruncate64', 'int', 'int', 'int64'),
    mmap: f('mmap64', 'int64', 'int64', 'size_t', 'int', 'int', 'int', 'int64'),
    munmap: f('munmap', 'int', 'int64', 'size_t'),
    epollCreate: f('epoll_create1', 'int', 'int'),
    epollControl: f('epoll_ctl', 'int', 'int', 'int', 'int', 'void *'),
    eventfd: f('eventfd', 'int', 'uint', 'int'),
    setitimer: f('setitimer', 'int', 'int', 'void *', 'void *'),
    socket: f('socket', 'int', 'int', 'int', 'int'),
    socketpair: f('socketpair', 'int', 'int', 'int', 'int', 'void *'),
    connect: f('connect', 'int', 'int', 'void *', 'uint'),
    bind: f('bind', 'int', 'int', 'void *', 'uint'),
    listen: f('listen', 'int', 'int', 'int'),
    accept4: f('accept4', 'int', 'int', 'void *', 'void *', 'int'),
    shutdown: f('shutdown', 'int', 'int', 'int'),
    sendmsg: f('sendmsg', 'long', 'int', 'int64', 'int'),
    recvmsg: f('recvmsg', 'long', 'int', 'int64', 'int'),
  } as unknown as Libc;
  return {
    libc,
    errno: () => koffi.errno(),
    view: (address, length) => koffi.view(BigInt(address), length),
    fixed(size) {
      const memory = koffi.alloc('uint8_t', size);
      return { bytes: new Uint8Array(koffi.view(memory, size)), address: Number(koffi.address(memory)) };
    },
    poll: (fd, interest, told) => koffi.node.poll(fd, interest, told as never) as unknown as PollHandle,
  };
}

/** The error of a system call that gave -1. */
export function failed(errno: number, what: string): DeviceError {
  const name = errnoName(errno);
  return new DeviceError(ERRNO[name] === Math.abs(errno) ? name : 'EIO', what);
}
