import { readdirSync, readlinkSync } from 'node:fs';
import type { Answer, Call, Pointed } from './syscalls.js';

/** The functions of libc that are used, as koffi makes them. Every call is made on this thread. */
interface Libc {
  open(path: string, flags: number, mode: number): number;
  close(fd: number): number;
  ioctlBytes(fd: number, request: number, arg: Uint8Array): number;
  ioctlNumber(fd: number, request: number, arg: number): number;
  read(fd: number, into: Uint8Array, size: number): number;
  pread(fd: number, into: Uint8Array, size: number, offset: bigint): number;
  write(fd: number, bytes: Uint8Array, size: number): number;
  pwrite(fd: number, bytes: Uint8Array, size: number, offset: bigint): number;
}

const EMPTY = new Uint8Array();
/** Bytes of one read() at most: a read may be shorter than was asked. */
const MOST = 1 << 24;

/**
 * Makes system calls through koffi and libc, one at a time, and waits for each. errno belongs to the
 * thread that made the call, so koffi's own asynchronous calls, which run on another one, cannot tell it.
 * @throws Error when koffi or libc cannot be loaded
 */
export async function loadLibc(): Promise<(call: Call) => Answer> {
  const { default: koffi } = await import('koffi');
  const lib = koffi.load(null);
  const libc: Libc = {
    open: lib.func('int open(const char *path, int flags, int mode)'),
    close: lib.func('int close(int fd)'),
    ioctlBytes: lib.func('ioctl', 'int', ['int', 'unsigned long', 'void *']),
    ioctlNumber: lib.func('ioctl', 'int', ['int', 'unsigned long', 'unsigned long']),
    read: lib.func('long read(int fd, void *into, size_t size)'),
    pread: lib.func('long pread64(int fd, void *into, size_t size, int64_t offset)'),
    write: lib.func('long write(int fd, const void *bytes, size_t size)'),
    pwrite: lib.func('long pwrite64(int fd, const void *bytes, size_t size, int64_t offset)'),
  };

  const answer = (value: number, bytes: Uint8Array = EMPTY, pointed: readonly Uint8Array[] = []): Answer => ({
    errno: value === -1 ? koffi.errno() : 0,
    value,
    bytes,
    pointed,
  });

  /** An ioctl whose argument points at more memory, which must not move while the kernel uses it. */
  function ioctlWith(fd: number, request: number, arg: Uint8Array, pointed: readonly Pointed[]): Answer {
    const held = pointed.map(({ bytes }) => koffi.alloc('uint8_t', Math.max(1, bytes.length)));
    try {
      const words = new DataView(arg.buffer, arg.byteOffset, arg.byteLength);
      const views = pointed.map(({ at, bytes }, index) => {
        words.setBigUint64(at, koffi.address(held[index]!), true);
        const view = new Uint8Array(koffi.view(held[index]!, Math.max(1, bytes.length)));
        view.set(bytes);
        return view.subarray(0, bytes.length);
      });
      const result = answer(libc.ioctlBytes(fd, request, arg), arg);
      return { ...result, pointed: views.map((view) => view.slice()) };
    } finally {
      for (const memory of held) koffi.free(memory);
    }
  }

  const own = new Set(openDescriptors());
  return (call) => {
    switch (call.call) {
      case 'open':
        return answer(libc.open(call.path, call.flags, 0));
      case 'close':
        return answer(libc.close(call.fd));
      case 'close_all':
        for (const fd of openDescriptors()) if (!own.has(fd)) libc.close(fd);
        return answer(0);
      case 'ioctl': {
        const { fd, request, arg, pointed = [] } = call;
        if (typeof arg === 'number') return answer(libc.ioctlNumber(fd, request, arg));
        return ioctlWith(fd, request, arg.slice(), pointed);
      }
      case 'read': {
        const into = new Uint8Array(Math.min(call.size, MOST));
        const { fd, offset } = call;
        const value =
          offset === undefined ? libc.read(fd, into, into.length) : libc.pread(fd, into, into.length, offset);
        return answer(value, into.subarray(0, Math.max(0, value)));
      }
      case 'write': {
        const { fd, bytes, offset } = call;
        return answer(
          offset === undefined
            ? libc.write(fd, bytes, bytes.length)
            : libc.pwrite(fd, bytes, bytes.length, offset),
        );
      }
    }
  };
}

/** The descriptors of this process, without the one that lists them. */
function openDescriptors(): number[] {
  const folder = '/proc/self/fd';
  return readdirSync(folder)
    .filter((name) => isThere(`${folder}/${name}`))
    .map(Number);
}

function isThere(link: string): boolean {
  try {
    return readlinkSync(link) !== '';
  } catch {
    return false;
  }
}
