import { chmodSync, lstatSync, type Stats, unlinkSync } from 'node:fs';
import type { Server } from 'node:net';
import { isMainThread } from 'node:worker_threads';
import type { Channel, Listener } from './channel.js';
import { connectSocket } from './connect-socket.js';
import { codeOf, TransportError, transportError } from './error.js';
import { SocketListener, socketServer } from './socket-listener.js';
import { LONGEST_SOCKET_PATH, type MigrationUri, nameOf } from './uri.js';

type UnixUri = MigrationUri & { kind: 'unix' };

/** @throws TransportError when nobody takes the connection */
export async function connectUnix(uri: UnixUri, signal?: AbortSignal): Promise<Channel> {
  checkLength(uri);
  return connectSocket(nameOf(uri), { path: uri.path }, signal);
}

/**
 * Listens on a socket file that only its owner can connect to, and that goes away with the listener. One
 * that a dead process has left is replaced.
 * @throws TransportError when somebody listens there, another file is in the way, or it cannot be made
 */
export async function listenUnix(uri: UnixUri): Promise<Listener> {
  checkLength(uri);
  await removeStale(uri);
  const server = socketServer();
  const listening = new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => {
      server.off('error', reject);
      resolve();
    });
  });
  listening.catch(() => {});
  try {
    bindPrivately(server, uri.path);
    await listening;
    checkMode(uri.path);
  } catch (error) {
    server.on('error', () => {});
    server.close();
    throw transportError(`${nameOf(uri)}: cannot listen`, error);
  }
  return new SocketListener(server, uri);
}

/** The kernel's limit; Node would cut a longer path and use another file. */
function checkLength({ path }: UnixUri): void {
  const length = Buffer.byteLength(path);
  if (length <= LONGEST_SOCKET_PATH) return;
  throw new TransportError(
    `unix:${path}: the path has ${length} bytes, and a unix socket's has at most ${LONGEST_SOCKET_PATH}`,
  );
}

async function removeStale(uri: UnixUri): Promise<void> {
  const name = nameOf(uri);
  let file: Stats | undefined;
  try {
    file = lstatSync(uri.path, { throwIfNoEntry: false });
  } catch (error) {
    throw transportError(`${name}: cannot listen`, error);
  }
  if (file === undefined) return;
  if (!file.isSocket()) {
    throw new TransportError(
      `${name}: a file that is not a socket is there; remove it or choose another path`,
    );
  }
  try {
    const other = await connectUnix(uri);
    other.destroy();
  } catch (error) {
    if (codeOf(error) !== 'ECONNREFUSED') throw error;
    // Nobody holds it any more.
    try {
      unlinkSync(uri.path);
    } catch (failure) {
      if (codeOf(failure) !== 'ENOENT')
        throw transportError(`${name}: cannot replace the old socket`, failure);
    }
    return;
  }
  throw new TransportError(`${name}: another process listens there; end it or choose another path`, {
    code: 'EADDRINUSE',
  });
}

/**
 * Node binds within listen(), so the mask is in force for that one call only, and nobody can connect
 * between the making of the socket and a later chmod.
 */
function bindPrivately(server: Server, path: string): void {
  if (!isMainThread) {
    throw new TransportError(`unix:${path}: only the main thread can make a socket for its owner alone`);
  }
  const mask = process.umask(0o077);
  try {
    server.listen({ path, exclusive: true });
  } finally {
    process.umask(mask);
  }
}

function checkMode(path: string): void {
  if ((lstatSync(path).mode & 0o077) !== 0) {
    throw new TransportError(`unix:${path}: the file system lets others connect, so it cannot be used here`);
  }
  chmodSync(path, 0o600);
}
