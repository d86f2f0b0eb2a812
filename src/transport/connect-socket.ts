import { connect, type NetConnectOpts, type Socket } from 'node:net';
import type { Channel } from './channel.js';
import { TransportError, transportError } from './error.js';
import { Inbox } from './inbox.js';
import { SocketChannel } from './socket-channel.js';

/**
 * Connects a stream socket.
 * @param name of the channel
 * @throws TransportError when nobody takes the connection, or `signal` fires
 */
export function connectSocket(name: string, to: NetConnectOpts, signal?: AbortSignal): Promise<Channel> {
  if (signal?.aborted) return Promise.reject(stopped(name));
  return new Promise((resolve, reject) => {
    const inbox = new Inbox(name);
    const { onread } = inbox;
    const socket = connect({ ...to, allowHalfOpen: true, onread } as NetConnectOpts);
    // Before there is a connection: nothing is read until somebody receives.
    socket.pause();
    const done = () => {
      socket.off('error', failed);
      signal?.removeEventListener('abort', stop);
    };
    const failed = (error: Error) => {
      done();
      silence(socket);
      reject(transportError(`${name}: cannot connect`, error));
    };
    const stop = () => {
      done();
      silence(socket);
      reject(stopped(name));
    };
    socket.once('error', failed);
    signal?.addEventListener('abort', stop, { once: true });
    socket.once('connect', () => {
      done();
      inbox.attach(socket);
      resolve(new SocketChannel(name, inbox, socket, socket));
    });
  });
}

function silence(socket: Socket): void {
  socket.on('error', () => {});
  socket.destroy();
}

function stopped(name: string): TransportError {
  return new TransportError(`${name}: the attempt to connect was ended`, { code: 'ECANCELED' });
}
