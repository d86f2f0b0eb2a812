import { constants, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { type Channel, type Listener, OneChannelListener } from './channel.js';
import { closedHere, codeOf, TransportError, transportError } from './error.js';
import { FileChannel } from './file-channel.js';
import { io, readFull, writeAll } from './file-io.js';
import { type MigrationUri, nameOf, parseUri } from './uri.js';

type FileUri = MigrationUri & { kind: 'file' };

/** A file of which any place can be read or written, as mapped-ram needs it. Positions count from its start. */
export interface RandomFile {
  readonly name: string;
  /** Where the stream begins: the offset of the URI. */
  readonly offset: number;
  /**
   * Writes all of the bytes at `position`; they must stay as they are until the promise is done. A place
   * that nobody has written reads as zeros.
   * @throws TransportError such as when no space is left
   */
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** Fills `into` from `position` on. Returns how many bytes there were: fewer only at the end of the file. */
  read(into: Uint8Array, position: number): Promise<number>;
  /** Bytes of the file. */
  size(): Promise<number>;
  /** Cuts the file to `size` bytes, or lengthens it by zeros that take no space. */
  truncate(size: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens a file for random access. For writing it is made for its owner only when it is new, and cut to the
 * offset otherwise: what stands before the offset stays, as QEMU does it (`migration/file.c`). A file that
 * is written can be read too.
 * @throws TransportError when it cannot be opened, or is a pipe or a socket
 */
export async function openFile(at: MigrationUri | string, mode: 'read' | 'write'): Promise<RandomFile> {
  const uri = typeof at === 'string' ? parseUri(at) : at;
  const name = nameOf(uri);
  if (uri.kind !== 'file') {
    throw new TransportError(`${name}: only in a file can any place be read or written; use file:PATH`);
  }
  const fd = await openDescriptor(name, uri, mode === 'read' ? constants.O_RDONLY : constants.O_RDWR);
  return new DescriptorFile(name, uri.offset, fd);
}

class DescriptorFile implements RandomFile {
  readonly name: string;
  readonly offset: number;
  readonly #fd: number;
  /** Operations that use the descriptor: its number may be somebody else's once it is closed. */
  readonly #running = new Set<Promise<unknown>>();
  #closed: Promise<void> | undefined;

  constructor(name: string, offset: number, fd: number) {
    this.name = name;
    this.offset = offset;
    this.#fd = fd;
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    return this.#run(() => writeAll(this.#fd, bytes, position));
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return this.#run(() => readFull(this.#fd, into, position));
  }

  size(): Promise<number> {
    return this.#run(async () => (await io.stat(this.#fd)).size);
  }

  truncate(size: number): Promise<void> {
    return this.#run(() => io.truncate(this.#fd, size));
  }

  close(): Promise<void> {
    this.#closed ??= Promise.allSettled(this.#running)
      .then(() => io.close(this.#fd))
      .catch((error: unknown) => {
        throw transportError(this.name, error);
      });
    return this.#closed;
  }

  async #run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed !== undefined) throw closedHere(this.name);
    const running = work();
    this.#running.add(running);
    try {
      return await running;
    } catch (error) {
      throw transportError(this.name, error);
    } finally {
      this.#running.delete(running);
    }
  }
}

/**
 * A channel that saves into a file, from the offset of the URI on. What stands before the offset stays and
 * all else is cut off.
 */
export async function saveToFile(uri: FileUri): Promise<Channel> {
  const name = nameOf(uri);
  const fd = await openDescriptor(name, uri, constants.O_WRONLY);
  return new FileChannel(name, fd, 'write', uri.offset);
}

/** A listener whose one channel is the file, from the offset of the URI on. */
export async function loadFromFile(uri: FileUri): Promise<Listener> {
  const name = nameOf(uri);
  const fd = await openDescriptor(name, uri, constants.O_RDONLY);
  return new OneChannelListener(uri, new FileChannel(name, fd, 'read', uri.offset));
}

/** `access` is O_RDONLY, O_WRONLY or O_RDWR. */
async function openDescriptor(name: string, uri: FileUri, access: number): Promise<number> {
  const writing = access !== constants.O_RDONLY;
  try {
    checkKind(name, await existing(uri.path));
    const fd = await io.open(uri.path, access | (writing ? constants.O_CREAT : 0), 0o600);
    try {
      await prepare(name, fd, uri.offset, writing);
      return fd;
    } catch (error) {
      await io.close(fd);
      throw error;
    }
  } catch (error) {
    throw transportError(`${name}: cannot open the file`, error);
  }
}

/** To open a pipe would wait for its other side. */
function checkKind(name: string, file: Stats | undefined): void {
  if (file?.isFIFO() || file?.isSocket()) {
    throw new TransportError(`${name}: it is not a file but a pipe or a socket; use exec:, fd: or unix:`);
  }
  if (file?.isDirectory()) throw new TransportError(`${name}: it is a folder, not a file`);
}

async function prepare(name: string, fd: number, offset: number, writing: boolean): Promise<void> {
  const file = await io.stat(fd);
  // A device has no length.
  if (!file.isFile()) return;
  if (writing) await io.truncate(fd, offset);
  else if (offset > file.size) {
    throw new TransportError(`${name}: the file has ${file.size} bytes, so nothing can begin at ${offset}`);
  }
}

async function existing(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
