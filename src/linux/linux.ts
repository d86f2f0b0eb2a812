import { fstatSync, readlinkSync } from 'node:fs';
import { DeviceError } from '../uapi/device.js';
import { ERRNO } from '../uapi/errno.js';
import { AF_UNIX, FCNTL, MFD, OPEN, SEALS, SOCKET } from './constants.js';
import { type Foreign, failed, type Interest, loadForeign } from './libc.js';
import { type MapOptions, Mapper, type Mapping } from './mapping.js';
import { MessageCalls, type Received } from './messages.js';
import { type Ready, type Watch, Watches } from './watch.js';

/** For `poll`. */
export interface PollFd {
  readonly fd: number;
  /** The default is readable. */
  readonly writable?: boolean;
}

const EVENT_BYTES = 8;
const PAGE = 4096;

/**
 * System calls of Linux. Each is made on this thread and returns at once, but for `read`, `write` and `ioctl` on a
 * descriptor that waits. Descriptors are closed on exec, and belong to whoever got them. A call that fails throws a
 * `DeviceError` with the name of its errno.
 */
export class Linux {
  readonly #foreign: Foreign;
  readonly #mapper: Mapper;
  readonly #messages: MessageCalls;
  readonly #watches: Watches;

  constructor(foreign: Foreign) {
    this.#foreign = foreign;
    this.#mapper = new Mapper(foreign);
    this.#messages = new MessageCalls(foreign);
    this.#watches = new Watches(foreign);
  }

  /** libc, for calls that stand beside these. */
  get foreign(): Foreign {
    return this.#foreign;
  }

  /** @param flags `O_*`; O_CLOEXEC is added */
  open(path: string, flags: number, mode = 0): number {
    return this.check(this.#foreign.libc.open(path, flags | OPEN.CLOEXEC, mode), `open of ${path}`);
  }

  /** Closes; a descriptor that is not open is an error of the program. */
  close(fd: number): void {
    this.check(this.#foreign.libc.close(fd), `close of ${fd}`);
  }

  /** A second descriptor for the same thing. */
  dup(fd: number): number {
    return this.check(this.#foreign.libc.fcntl(fd, FCNTL.DUPFD_CLOEXEC, 0), `dup of ${fd}`);
  }

  /** A pipe: the end to read from, and the end to write to. */
  pipe({ nonBlocking = false } = {}): [read: number, write: number] {
    const two = new Int32Array(2);
    const flags = OPEN.CLOEXEC | (nonBlocking ? OPEN.NONBLOCK : 0);
    this.check(this.#foreign.libc.pipe2(new Uint8Array(two.buffer), flags), 'pipe');
    return [two[0]!, two[1]!];
  }

  /** Whether calls on it return at once. */
  setNonBlocking(fd: number, on = true): void {
    const { fcntl } = this.#foreign.libc;
    const flags = this.check(fcntl(fd, FCNTL.GETFL, 0), 'F_GETFL');
    const wanted = on ? flags | OPEN.NONBLOCK : flags & ~OPEN.NONBLOCK;
    if (wanted !== flags) this.check(fcntl(fd, FCNTL.SETFL, wanted), 'F_SETFL');
  }

  /**
   * @param arg a struct, which the call may change, or a number
   * @returns what the ioctl returns
   */
  ioctl(
    fd: number,
    request: number,
    arg: Uint8Array | number = 0,
    what = `ioctl 0x${request.toString(16)}`,
  ): number {
    const { libc } = this.#foreign;
    const result =
      typeof arg === 'number' ? libc.ioctlNumber(fd, request, arg) : libc.ioctlBytes(fd, request, arg);
    return this.check(result, what);
  }

  /** @returns bytes that were read, 0 at the end; null when nothing is there for now */
  read(fd: number, into: Uint8Array): number | null {
    return this.#unlessBusy(() => this.#foreign.libc.read(fd, into, into.length), 'read');
  }

  /** @returns bytes that were taken; null when none fit for now */
  write(fd: number, bytes: Uint8Array): number | null {
    return this.#unlessBusy(() => this.#foreign.libc.write(fd, bytes, bytes.length), 'write');
  }

  /** Bytes of a file or memfd, and of what its mappings must begin at a multiple: a page, of whatever size. */
  fileSize(fd: number): { size: number; page: number } {
    const { size, blksize } = this.#attempt(() => fstatSync(fd), `size of ${fd}`);
    return { size, page: Math.max(PAGE, blksize) };
  }

  /** Whether it is an eventfd, which is what `readEvent` and `writeEvent` are for. */
  isEventfd(fd: number): boolean {
    return (
      this.#attempt(() => readlinkSync(`/proc/self/fd/${fd}`), `kind of ${fd}`) === 'anon_inode:[eventfd]'
    );
  }

  /** Memory without a file, of zeros, whose size stays what it is. Returns its descriptor. */
  memfd(name: string, size: number): number {
    const { libc } = this.#foreign;
    const fd = this.check(libc.memfd(name, MFD.CLOEXEC | MFD.ALLOW_SEALING), 'memfd_create');
    try {
      this.check(libc.ftruncate(fd, size), `a memfd of ${size} bytes`);
      this.check(libc.fcntl(fd, FCNTL.ADD_SEALS, SEALS.SEAL | SEALS.SHRINK | SEALS.GROW), 'seals of a memfd');
    } catch (error) {
      libc.close(fd);
      throw error;
    }
    return fd;
  }

  /**
   * Maps a file or memfd, shared; with -1, memory of this process alone. The descriptor is not needed afterwards.
   * A file that is made shorter later ends the process with SIGBUS when the lost part is touched.
   */
  mmap(fd: number, options: MapOptions): Mapping {
    return this.#mapper.map(fd, options);
  }

  /** A counter with a descriptor. */
  eventfd(initial = 0): number {
    return this.check(this.#foreign.libc.eventfd(initial, OPEN.NONBLOCK | OPEN.CLOEXEC), 'eventfd');
  }

  /** The count of an eventfd, which is 0 then; null when it was 0 already. */
  readEvent(fd: number): bigint | null {
    const bytes = new BigUint64Array(1);
    const size = this.read(fd, new Uint8Array(bytes.buffer));
    if (size === null) return null;
    if (size !== EVENT_BYTES) throw new DeviceError('EIO', `an eventfd gave ${size} bytes`);
    return bytes[0]!;
  }

  /** Adds to the count of an eventfd. A count that is full stays: whoever waits has been woken. */
  writeEvent(fd: number, count = 1n): void {
    this.write(fd, new Uint8Array(BigUint64Array.of(count).buffer));
  }

  /**
   * Tells whenever a descriptor is ready, within the event loop, as long as it is ready. From then on calls on it
   * return at once (O_NONBLOCK). The process does not end while the watch wants something.
   * @throws DeviceError EPERM: a file, which is always ready; EBUSY: there is a watch of it already
   */
  watch(fd: number, interest: Interest, told: (ready: Ready) => void): Watch {
    return this.#watches.watch(fd, interest, told);
  }

  /**
   * Waits until one of the descriptors is ready, without holding the thread.
   * @param timeoutMs undefined: for ever, but for `signal`
   * @returns the descriptors that are ready, none after the timeout or the signal
   */
  poll(fds: readonly PollFd[], timeoutMs?: number, signal?: AbortSignal): Promise<number[]> {
    return new Promise((resolve) => {
      const watches: Watch[] = [];
      const ready = new Set<number>();
      let soon: NodeJS.Immediate | undefined;
      const done = () => {
        clearTimeout(timer);
        clearImmediate(soon);
        signal?.removeEventListener('abort', done);
        for (const watch of watches) watch.close();
        resolve([...ready]);
      };
      const timer = timeoutMs === undefined ? undefined : setTimeout(done, timeoutMs);
      if (signal?.aborted) return done();
      signal?.addEventListener('abort', done);
      for (const { fd, writable = false } of fds) {
        const told = () => {
          ready.add(fd);
          soon ??= setImmediate(done);
        };
        watches.push(this.watch(fd, { readable: !writable, writable }, told));
      }
    });
  }

  /** Two sockets that are connected to each other; calls on them return at once. */
  socketpair(): [number, number] {
    const two = new Int32Array(2);
    const type = SOCKET.STREAM | SOCKET.NONBLOCK | SOCKET.CLOEXEC;
    this.check(this.#foreign.libc.socketpair(AF_UNIX, type, 0, new Uint8Array(two.buffer)), 'socketpair');
    return [two[0]!, two[1]!];
  }

  /** See `MessageCalls.send`. */
  sendmsg(fd: number, bytes: Uint8Array, fds: readonly number[] = []): number | null {
    return this.#messages.send(fd, bytes, fds);
  }

  /** See `MessageCalls.receive`. */
  recvmsg(fd: number, into: Uint8Array, fds?: number): Received | null {
    return this.#messages.receive(fd, into, fds);
  }

  /** The result of a call. @throws DeviceError when it is -1 */
  check(result: number, what: string): number {
    if (result === -1) throw failed(this.#foreign.errno(), what);
    return result;
  }

  /** A call of Node's. */
  #attempt<T>(call: () => T, what: string): T {
    try {
      return call();
    } catch (error) {
      throw failed((error as NodeJS.ErrnoException).errno ?? 0, what);
    }
  }

  #unlessBusy(call: () => number, what: string): number | null {
    for (;;) {
      const result = call();
      if (result >= 0) return result;
      const why = this.#foreign.errno();
      if (why === ERRNO.EAGAIN) return null;
      if (why !== ERRNO.EINTR) throw failed(why, what);
    }
  }
}

let loaded: Promise<Linux> | undefined;

/**
 * The system calls, of which there is one object in a process.
 * @throws LinuxError when this is not Linux, or koffi is not there
 */
export function loadLinux(): Promise<Linux> {
  loaded ??= loadForeign().then((foreign) => new Linux(foreign));
  return loaded;
}
