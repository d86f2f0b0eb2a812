import type { Linux } from '../linux/index.js';
import { SCM_MAX_FD } from '../linux/index.js';
import { DeviceError } from '../uapi/device.js';
import { closeFds, VhostUserConnection } from './connection.js';

/** From the front end to the back end, or back. */
export type ProxyDirection = 'f2b' | 'b2f';

/** Who hears what a proxy passes on. It is called after a message has gone on, and must not wait. */
export interface ProxyTap {
  /** A whole message, and how many descriptors went with it. */
  message(direction: ProxyDirection, bytes: Uint8Array, fds: number): void;
  /** Which side has ended the connection. */
  closed(side: 'front' | 'back'): void;
}

/** Between whom a proxy stands, and who listens. */
export interface ProxyOptions {
  readonly tap?: ProxyTap;
  /** Ends it. */
  readonly signal?: AbortSignal;
}

/** How a connection through a proxy ended. */
export interface ProxyEnd {
  /** Which side has closed it; null: it was ended here. */
  readonly closed: 'front' | 'back' | null;
  /** What has broken it, for people; null: nothing. */
  readonly failure: string | null;
  /** Messages that went on. */
  readonly f2b: number;
  readonly b2f: number;
}

/** A message may be of any version and request; its size and its descriptors are what the kernel and memory allow. */
const LIMITS = { payload: 1 << 20, fds: SCM_MAX_FD, restMs: 30_000 };

/**
 * Passes messages with their descriptors on between a front end and a back end, unchanged and in order, until one of
 * them closes. Both sockets are owned from now on. Whoever is slow holds up the other, as without a proxy.
 */
export async function runProxy(
  linux: Linux,
  frontFd: number,
  backFd: number,
  { tap, signal }: ProxyOptions = {},
): Promise<ProxyEnd> {
  const front = new VhostUserConnection(linux, frontFd, LIMITS);
  const back = new VhostUserConnection(linux, backFd, LIMITS);
  const counts = { f2b: 0, b2f: 0 };
  let closed: 'front' | 'back' | null = null;
  let failure: string | null = null;
  let isOver = false;
  const end = (side: 'front' | 'back' | null, why: string | null) => {
    if (isOver) return;
    isOver = true;
    closed = side;
    failure = why;
    front.close();
    back.close();
    if (side !== null) tap?.closed(side);
  };
  const pass = async (direction: ProxyDirection) => {
    const [from, to, side, other] =
      direction === 'f2b'
        ? ([front, back, 'front', 'back'] as const)
        : ([back, front, 'back', 'front'] as const);
    try {
      for (;;) {
        const message = await from.next();
        if (message === null) return end(side, null);
        const fds = message.fds.length;
        try {
          await to.send(message.bytes, message.fds);
        } finally {
          closeFds(linux, message.fds);
        }
        counts[direction]++;
        tap?.message(direction, message.bytes, fds);
      }
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      // Nobody takes the message: it is the other side that is gone.
      if (error.code === 'EPIPE' || error.code === 'ECONNRESET') end(other, null);
      else end(side, `${side === 'front' ? 'the front end' : 'the back end'}: ${error.message}`);
    }
  };
  const stop = () => end(null, null);
  signal?.addEventListener('abort', stop);
  if (signal?.aborted) stop();
  try {
    await Promise.all([pass('f2b'), pass('b2f')]);
  } finally {
    signal?.removeEventListener('abort', stop);
    stop();
  }
  return { closed, failure, ...counts };
}
