import { type AddressInfo, isIP } from 'node:net';
import type { Channel, Listener } from './channel.js';
import { connectSocket } from './connect-socket.js';
import { transportError } from './error.js';
import { KEEP_ALIVE_MS, SocketListener, socketServer } from './socket-listener.js';
import { type MigrationUri, nameOf } from './uri.js';

type TcpUri = MigrationUri & { kind: 'tcp' };

/** Where no host is given. QEMU listens on all addresses then; a migration stream is guest memory in the clear. */
const LOOPBACK = '127.0.0.1';

/** @throws TransportError when nobody takes the connection */
export function connectTcp(uri: TcpUri, signal?: AbortSignal): Promise<Channel> {
  const to = {
    host: uri.host || LOOPBACK,
    port: uri.port,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
  };
  return connectSocket(nameOf(uri), to, signal);
}

/**
 * Listens on one address; without a host on the loopback address, on all with `0.0.0.0` or `[::]`. Port 0
 * is any free one.
 * @throws TransportError when the address cannot be had
 */
export function listenTcp(uri: TcpUri): Promise<Listener> {
  const host = uri.host || LOOPBACK;
  const server = socketServer();
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => reject(transportError(`${nameOf(uri)}: cannot listen`, error));
    server.once('error', failed);
    server.listen({ host, port: uri.port, exclusive: true }, () => {
      server.off('error', failed);
      const { address, port } = server.address() as AddressInfo;
      resolve(new SocketListener(server, { kind: 'tcp', host: isIP(host) ? host : address, port }));
    });
  });
}
