import { fstatSync, readFileSync, type Stats } from 'node:fs';
import { Socket, type SocketConstructorOpts } from 'node:net';
import { isatty } from 'node:tty';
import type { Channel } from './channel.js';
import { codeOf, TransportError, transportError } from './error.js';
import { FileChannel } from './file-channel.js';
import { Inbox } from './inbox.js';
import { SocketChannel } from './socket-channel.js';
import { type MigrationUri, nameOf } from './uri.js';

type FdUri = MigrationUri & { kind: 'fd' };

/** O_ACCMODE and its values, the same on all architectures of Linux. */
const ACCESS_MASK = 3;
const READ_ONLY = 0;
const WRITE_ONLY = 1;

/**
 * A channel over a descriptor that the process was started with; the channel owns it then. A socket is used
 * both ways, a pipe or a file in the given direction, a file from where the descriptor stands.
 * @throws TransportError when it is not open, not open in this direction, or nothing that bytes flow through
 */
export function openFd(uri: FdUri, direction: 'read' | 'write'): Channel {
  const name = nameOf(uri);
  const { fd } = uri;
  const kind = kindOf(name, fd);
  if (isatty(fd)) {
    throw new TransportError(
      `${name}: it is a terminal, and a migration stream is no text; redirect it to a file, a pipe or a socket`,
    );
  }
  if (kind === undefined) {
    throw new TransportError(`${name}: it is neither a socket, a pipe nor a file`);
  }
  if (accessOf(fd) === (direction === 'read' ? WRITE_ONLY : READ_ONLY)) {
    const other = direction === 'read' ? 'written' : 'read';
    throw new TransportError(`${name}: the descriptor can only be ${other}`, { code: 'EBADF' });
  }
  if (kind === 'file') return new FileChannel(name, fd, direction, null);
  return openSocket(
    name,
    fd,
    kind === 'socket' || direction === 'read',
    kind === 'socket' || direction === 'write',
  );
}

function openSocket(name: string, fd: number, readable: boolean, writable: boolean): Channel {
  const inbox = new Inbox(name);
  let socket: Socket;
  try {
    const options = { fd, readable, writable, allowHalfOpen: true };
    socket = new Socket((readable ? { ...options, onread: inbox.onread } : options) as SocketConstructorOpts);
  } catch (error) {
    throw transportError(`${name}: it is not a stream socket or a pipe`, error);
  }
  if (readable) inbox.attach(socket.pause());
  return new SocketChannel(name, inbox, readable ? socket : undefined, writable ? socket : undefined);
}

function kindOf(name: string, fd: number): 'socket' | 'pipe' | 'file' | undefined {
  let file: Stats;
  try {
    file = fstatSync(fd);
  } catch (error) {
    if (codeOf(error) !== 'EBADF') throw transportError(name, error);
    throw new TransportError(
      `${name}: no descriptor ${fd} is open; whoever starts this process has to pass it on`,
      { code: 'EBADF' },
    );
  }
  if (file.isSocket()) return 'socket';
  if (file.isFIFO()) return 'pipe';
  return file.isFile() || file.isBlockDevice() || file.isCharacterDevice() ? 'file' : undefined;
}

/** Which ways a descriptor is open; undefined where /proc does not tell. */
function accessOf(fd: number): number | undefined {
  try {
    const [, flags] = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1')) ?? [];
    return flags === undefined ? undefined : Number.parseInt(flags, 8) & ACCESS_MASK;
  } catch {
    return undefined;
  }
}
