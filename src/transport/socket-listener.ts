import { createServer, type Server, type Socket } from 'node:net';
import { type Channel, type Listener, listenerClosed, waitEnded } from './channel.js';
import { transportError } from './error.js';
import { adopt, SocketChannel } from './socket-channel.js';
import { type MigrationUri, nameOf } from './uri.js';

/** Connections that may wait to be accepted: 255 multifd channels and the main channel. */
const MOST_WAITING = 256;
/** Silence on a TCP connection after which the system asks whether the peer is still there. */
export const KEEP_ALIVE_MS = 10_000;

interface Waiter {
  resolve: (channel: Channel) => void;
  reject: (error: unknown) => void;
}

/** A server for sockets. Nothing is read from a connection before it is accepted. */
export function socketServer(): Server {
  return createServer({
    allowHalfOpen: true,
    pauseOnConnect: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
  });
}

/** The listener over a server that listens. */
export class SocketListener implements Listener {
  readonly address: MigrationUri;
  readonly #name: string;
  readonly #server: Server;
  readonly #waiting: Socket[] = [];
  readonly #waiters = new Set<Waiter>();
  #closed: Promise<void> | undefined;

  constructor(server: Server, address: MigrationUri) {
    this.#server = server;
    this.address = address;
    this.#name = nameOf(address);
    server.on('connection', (socket) => this.#arrived(socket));
    // A connection that could not be taken, as when too many files are open: who waits is told.
    server.on('error', (error) => this.#refuseAll(transportError(`${this.#name}: cannot accept`, error)));
  }

  accept({ signal }: { signal?: AbortSignal } = {}): Promise<Channel> {
    if (this.#closed !== undefined) return Promise.reject(listenerClosed(this.#name));
    if (signal?.aborted) return Promise.reject(waitEnded(this.#name));
    const socket = this.#waiting.shift();
    if (socket !== undefined) return Promise.resolve(this.#channel(socket));
    return new Promise<Channel>((resolve, reject) => {
      const leave = () => {
        this.#waiters.delete(waiter);
        reject(waitEnded(this.#name));
      };
      const done = () => signal?.removeEventListener('abort', leave);
      const waiter: Waiter = {
        resolve: (channel) => {
          done();
          resolve(channel);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#waiters.add(waiter);
    });
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#server.close(() => resolve());
      for (const socket of this.#waiting.splice(0)) socket.destroy();
      this.#refuseAll(listenerClosed(this.#name));
    });
    return this.#closed;
  }

  #arrived(socket: Socket): void {
    socket.on('error', () => {});
    const [waiter] = this.#waiters;
    if (waiter !== undefined) {
      this.#waiters.delete(waiter);
      waiter.resolve(this.#channel(socket));
    } else if (this.#closed === undefined && this.#waiting.length < MOST_WAITING) {
      this.#waiting.push(socket);
    } else {
      socket.destroy();
    }
  }

  #channel(made: Socket): Channel {
    const { remoteAddress: host, remotePort: port } = made;
    const name = host === undefined || port === undefined ? this.#name : nameOf({ kind: 'tcp', host, port });
    const { inbox, socket } = adopt(name, made);
    return new SocketChannel(name, inbox, socket, socket);
  }

  #refuseAll(error: unknown): void {
    for (const { reject } of this.#waiters) reject(error);
    this.#waiters.clear();
  }
}
