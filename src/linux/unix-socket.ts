import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { DeviceError } from '../uapi/device.js';
import { AF_UNIX, LONGEST_SOCKET_PATH, SOCKET } from './constants.js';
import type { Linux } from './linux.js';

/** Connections that wait at most. */
const BACKLOG = 16;
/** How long until a socket with a full queue is asked again, in milliseconds. */
const AGAIN_MS = 10;

/** `struct sockaddr_un`. */
function address(path: string): Uint8Array {
  const name = Buffer.from(path);
  if (name.length === 0 || name.length > LONGEST_SOCKET_PATH || name.includes(0))
    throw new DeviceError(
      'EINVAL',
      `${path}: a path of a unix socket has 1 to ${LONGEST_SOCKET_PATH} bytes, and this one ${name.length}`,
    );
  const bytes = Buffer.alloc(2 + name.length + 1);
  bytes.writeUInt16LE(AF_UNIX, 0);
  name.copy(bytes, 2);
  return bytes;
}

function makeSocket(linux: Linux): number {
  return linux.check(
    linux.foreign.libc.socket(AF_UNIX, SOCKET.STREAM | SOCKET.NONBLOCK | SOCKET.CLOEXEC, 0),
    'socket',
  );
}

/**
 * Connects to a unix socket. Returns the descriptor, on which calls return at once.
 * @throws DeviceError ECONNREFUSED: nobody listens; ENOENT: no such file; EAGAIN: the queue was full for too long
 */
export async function connectUnixSocket(linux: Linux, path: string, timeoutMs = 5000): Promise<number> {
  const to = address(path);
  const until = Date.now() + timeoutMs;
  for (;;) {
    const fd = connectNow(linux, path, to);
    if (fd !== null) return fd;
    if (Date.now() > until) throw new DeviceError('EAGAIN', `connect to ${path}: its queue is full`);
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

/** null: the queue of the listener is full. */
function connectNow(linux: Linux, path: string, to: Uint8Array): number | null {
  const fd = makeSocket(linux);
  try {
    linux.check(linux.foreign.libc.connect(fd, to, to.length), `connect to ${path}`);
    return fd;
  } catch (error) {
    linux.close(fd);
    if (error instanceof DeviceError && error.code === 'EAGAIN') return null;
    throw error;
  }
}

/** A unix socket that is listened at. */
export interface UnixListener {
  /**
   * The next connection, as a descriptor whose owner is the caller.
   * @returns null when the listener was closed, or after `signal`
   */
  accept(signal?: AbortSignal): Promise<number | null>;
  /** Ends `accept`, and removes the file. */
  close(): void;
}

/**
 * Listens on a socket file that only its owner can connect to, and that goes away with the listener. One that a
 * dead process has left is replaced.
 * @throws DeviceError EADDRINUSE: somebody listens there; EEXIST: another file is in the way; or it cannot be made
 */
export function listenUnixSocket(linux: Linux, path: string): UnixListener {
  const at = address(path);
  removeStale(linux, path, at);
  const fd = makeSocket(linux);
  try {
    bindPrivately(linux, fd, path, at);
    checkMode(path);
    linux.check(linux.foreign.libc.listen(fd, BACKLOG), `listen at ${path}`);
  } catch (error) {
    linux.close(fd);
    throw error;
  }
  return new Listening(linux, fd, path);
}

class Listening implements UnixListener {
  readonly #linux: Linux;
  readonly #path: string;
  readonly #inode: number;
  readonly #closing = new AbortController();
  #fd: number | null;

  constructor(linux: Linux, fd: number, path: string) {
    this.#linux = linux;
    this.#fd = fd;
    this.#path = path;
    this.#inode = lstatSync(path).ino;
  }

  async accept(signal?: AbortSignal): Promise<number | null> {
    for (;;) {
      if (this.#fd === null || signal?.aborted) return null;
      const fd = this.#acceptNow(this.#fd);
      if (fd !== null) return fd;
      const { signal: closed } = this.#closing;
      const either = signal === undefined ? closed : AbortSignal.any([signal, closed]);
      await this.#linux.poll([{ fd: this.#fd }], undefined, either);
    }
  }

  close(): void {
    if (this.#fd === null) return;
    const fd = this.#fd;
    this.#fd = null;
    // First the watch, then the descriptor.
    this.#closing.abort();
    this.#linux.close(fd);
    try {
      if (lstatSync(this.#path).ino === this.#inode) unlinkSync(this.#path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }

  #acceptNow(listener: number): number | null {
    try {
      const { libc } = this.#linux.foreign;
      return this.#linux.check(
        libc.accept4(listener, null, null, SOCKET.NONBLOCK | SOCKET.CLOEXEC),
        `accept at ${this.#path}`,
      );
    } catch (error) {
      // Nobody is there, or no longer.
      if (error instanceof DeviceError && ['EAGAIN', 'ECONNABORTED', 'EINTR'].includes(error.code))
        return null;
      throw error;
    }
  }
}

function removeStale(linux: Linux, path: string, at: Uint8Array): void {
  const file = lstatSync(path, { throwIfNoEntry: false });
  if (file === undefined) return;
  if (!file.isSocket())
    throw new DeviceError(
      'EEXIST',
      `${path}: a file that is not a socket is there; remove it or choose another path`,
    );
  try {
    const other = connectNow(linux, path, at);
    if (other !== null) linux.close(other);
  } catch (error) {
    if (!(error instanceof DeviceError) || error.code !== 'ECONNREFUSED') throw error;
    // Nobody holds it any more.
    unlinkSync(path);
    return;
  }
  throw new DeviceError(
    'EADDRINUSE',
    `${path}: another process listens there; end it or choose another path`,
  );
}

/** The mask is in force for the one call, so nobody can connect between the making of the file and a chmod. */
function bindPrivately(linux: Linux, fd: number, path: string, at: Uint8Array): void {
  if (!isMainThread)
    throw new DeviceError('EPERM', `${path}: only the main thread can make a socket for its owner alone`);
  const mask = process.umask(0o077);
  try {
    linux.check(linux.foreign.libc.bind(fd, at, at.length), `bind to ${path}`);
  } finally {
    process.umask(mask);
  }
}

function checkMode(path: string): void {
  if ((lstatSync(path).mode & 0o077) !== 0) {
    unlinkSync(path);
    throw new DeviceError('EPERM', `${path}: the file system lets others connect, so it cannot be used here`);
  }
  chmodSync(path, 0o600);
}
