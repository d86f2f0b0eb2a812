import { setTimeout as sleep } from 'node:timers/promises';
import { type Channel, connect, listen } from '../../src/transport/index.js';

/** What is to go wrong in one direction of a connection. Offsets count from its first byte. */
export interface Fault {
  /** Lets so many bytes through, then cuts the connection, both directions. */
  cutAfter?: number;
  /** Changes the byte at `at` by xor with `mask`. */
  corrupt?: { at: number; mask: number };
  /** Milliseconds that each block is held back. */
  delay?: number;
}

/** The faults of a connection: from the side that has connected to the target, and back. */
export interface Faults {
  forward?: Fault;
  back?: Fault;
}

/** Bytes that have come through. */
export interface Counts {
  forward: number;
  back: number;
}

export interface CuttingProxy {
  /** Where to connect instead of the target. */
  readonly uri: string;
  /** Bytes of each connection, in order of arrival. */
  readonly counts: readonly Counts[];
  /** Cuts all connections. */
  cut(): void;
  /** Stops to listen and cuts all connections. */
  close(): Promise<void>;
}

/**
 * Stands between the two sides of a migration and breaks what it is told to.
 * @param at where it listens, such as `unix:/tmp/x/proxy.sock` or `tcp::0`
 * @param faults of each connection by number, or of all alike
 */
export async function cuttingProxy(
  at: string,
  target: string,
  faults: Faults | ((connection: number) => Faults) = {},
): Promise<CuttingProxy> {
  const listener = await listen(at);
  const open = new Set<Channel>();
  const counts: Counts[] = [];
  const cut = () => {
    for (const channel of open) channel.destroy();
    open.clear();
  };

  const join = async (near: Channel) => {
    open.add(near);
    const number = counts.length;
    const count: Counts = { forward: 0, back: 0 };
    counts.push(count);
    try {
      const far = await connect(target);
      open.add(far);
      await relay(near, far, typeof faults === 'function' ? faults(number) : faults, count);
      open.delete(far);
    } catch {
      near.destroy();
    }
    open.delete(near);
  };
  const accepting = (async () => {
    try {
      for (;;) void join(await listener.accept());
    } catch {
      // The listener was closed.
    }
  })();

  const { address } = listener;
  return {
    uri: address.kind === 'tcp' ? `tcp:${address.host}:${address.port}` : at,
    counts,
    cut,
    close: async () => {
      await listener.close();
      await accepting;
      cut();
    },
  };
}

/** Relays between two channels until both have ended, or one has broken: then the other is cut too. */
export async function relay(near: Channel, far: Channel, faults: Faults, counts: Counts): Promise<void> {
  const cut = () => {
    near.destroy();
    far.destroy();
  };
  const forward = flow(near, far, faults.forward ?? {}, cut, (size) => {
    counts.forward += size;
  });
  const back = flow(far, near, faults.back ?? {}, cut, (size) => {
    counts.back += size;
  });
  await Promise.allSettled([forward, back]);
}

async function flow(
  from: Channel,
  to: Channel,
  { cutAfter = Number.POSITIVE_INFINITY, corrupt, delay }: Fault,
  cut: () => void,
  count: (size: number) => void,
): Promise<void> {
  let offset = 0;
  const pass = async (block: Uint8Array) => {
    const bytes = block.subarray(0, Math.max(0, cutAfter - offset));
    const at = corrupt === undefined ? -1 : corrupt.at - offset;
    if (corrupt !== undefined && at >= 0 && at < bytes.length) bytes[at] = bytes[at]! ^ corrupt.mask;
    if (delay !== undefined) await sleep(delay);
    await to.write(bytes);
    count(bytes.length);
    offset += bytes.length;
    if (offset >= cutAfter) cut();
  };
  try {
    if (cutAfter === 0) cut();
    await from.receive(pass);
    await to.end();
  } catch {
    cut();
  }
}
