import { setTimeout as sleep } from 'node:timers/promises';
import { type Channel, type Listener, OneChannelListener } from './channel.js';
import { TransportError } from './error.js';
import { startCommand } from './exec.js';
import { openFd } from './fd.js';
import { loadFromFile, saveToFile } from './file.js';
import { connectTcp, listenTcp } from './tcp.js';
import { connectUnix, listenUnix } from './unix.js';
import { type MigrationUri, nameOf, parseUri } from './uri.js';

/** Failures that mean: the other side does not listen yet. */
const NOT_YET: ReadonlySet<string | undefined> = new Set(['ECONNREFUSED', 'ENOENT']);
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 500;

export interface ConnectOptions {
  /** Ends the attempt. */
  signal?: AbortSignal;
  /** Milliseconds for which a side that does not listen yet is asked again; default 0. */
  retryFor?: number;
  /** Nobody listens there yet, and it is tried again. Called once. */
  onWait?: () => void;
}

/**
 * Opens the sending end of a migration: connects, starts the command, or opens the file for writing.
 * @throws TransportError when that is not possible
 */
export async function connect(uri: MigrationUri | string, options: ConnectOptions = {}): Promise<Channel> {
  const to = typeof uri === 'string' ? parseUri(uri) : uri;
  const { signal, retryFor = 0 } = options;
  const deadline = performance.now() + retryFor;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    try {
      return await open(to, signal);
    } catch (error) {
      const socket = to.kind === 'tcp' || to.kind === 'unix';
      const again = socket && error instanceof TransportError && NOT_YET.has(error.code);
      if (!again || performance.now() + pause > deadline) throw error;
      if (pause === FIRST_PAUSE_MS) options.onWait?.();
    }
    // An abort shows in the next attempt.
    await sleep(pause, undefined, signal === undefined ? {} : { signal }).catch(() => {});
  }
}

/**
 * Opens the receiving end of a migration: listens, starts the command, or opens the file for reading.
 * @throws TransportError when that is not possible
 */
export async function listen(uri: MigrationUri | string): Promise<Listener> {
  const at = typeof uri === 'string' ? parseUri(uri) : uri;
  switch (at.kind) {
    case 'tcp':
      return listenTcp(at);
    case 'unix':
      return listenUnix(at);
    case 'exec':
      return new OneChannelListener(at, await startCommand(at));
    case 'fd':
      return new OneChannelListener(at, openFd(at, 'read'));
    case 'file':
      return loadFromFile(at);
  }
}

async function open(uri: MigrationUri, signal: AbortSignal | undefined): Promise<Channel> {
  if (signal?.aborted) {
    throw new TransportError(`${nameOf(uri)}: the attempt to connect was ended`, { code: 'ECANCELED' });
  }
  switch (uri.kind) {
    case 'tcp':
      return connectTcp(uri, signal);
    case 'unix':
      return connectUnix(uri, signal);
    case 'exec':
      return startCommand(uri);
    case 'fd':
      return openFd(uri, 'write');
    case 'file':
      return saveToFile(uri);
  }
}
