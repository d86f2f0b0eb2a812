import { type Linux, LinuxError, loadLinux } from '../../linux/index.js';
import { DeviceError } from '../../uapi/device.js';
import type { VhostBackend } from '../../uapi/vhost-backend.js';
import { connectVhostUser } from '../../vhost-user/index.js';
import { TargetError } from '../target.js';
import type { AllocatedMemory, VhostTarget } from '../vhost-target.js';

const KIND = 'vhost-user:';
const FORM = 'expected vhost-user:/path.sock[?timeout=MS]';
/** How long an answer is waited for where the URI does not say it, in milliseconds. */
const TIMEOUT = 5000;

/**
 * The back end that listens at a unix socket: `vhost-user:/path.sock`, with the option `timeout` (milliseconds).
 * Each open is a connection of its own; memory is shared with the back end as memfds.
 * @throws TargetError when the URI is none, or this system cannot do it
 */
export async function vhostUserTarget(uri: string): Promise<VhostTarget> {
  const [path = '', query = ''] = uri.slice(KIND.length).split('?', 2);
  if (!uri.startsWith(KIND) || path === '') throw new TargetError(`${uri}: ${FORM}`);
  const said = new URLSearchParams(query);
  for (const name of said.keys())
    if (name !== 'timeout') throw new TargetError(`${uri}: no option is called ${name}; there is timeout`);
  const timeoutMs = Number(said.get('timeout') ?? TIMEOUT);
  if (!Number.isInteger(timeoutMs) || timeoutMs < 1)
    throw new TargetError(`${uri}: timeout is a number of milliseconds, not ${said.get('timeout')}`);
  try {
    return new VhostUserTarget(await loadLinux(), uri, { path, timeoutMs });
  } catch (error) {
    if (error instanceof LinuxError) throw new TargetError(`${uri}: ${error.message}`);
    throw error;
  }
}

class VhostUserTarget implements VhostTarget {
  readonly interface = 'user';
  readonly profile = undefined;
  readonly #linux: Linux;
  readonly #to: { readonly path: string; readonly timeoutMs: number };

  constructor(
    linux: Linux,
    readonly uri: string,
    to: { readonly path: string; readonly timeoutMs: number },
  ) {
    this.#linux = linux;
    this.#to = to;
  }

  allocate(bytes: number): AllocatedMemory {
    return sharedMemory(this.#linux, bytes);
  }

  async open(): Promise<VhostBackend> {
    const { path, timeoutMs } = this.#to;
    try {
      return await connectVhostUser(path, { timeoutMs });
    } catch (error) {
      if (error instanceof DeviceError) throw new TargetError(`${this.uri}: ${error.message}`);
      throw error;
    }
  }

  close(): void {}
}

/** Memory in a memfd, mapped here. */
export function sharedMemory(linux: Linux, bytes: number): AllocatedMemory {
  const fd = linux.memfd('stopcopy-guest', bytes);
  const mapping = linux.mmap(fd, { length: bytes });
  return {
    bytes: mapping.bytes,
    fd,
    address: Number(mapping.address),
    free: () => {
      mapping.unmap();
      linux.close(fd);
    },
  };
}
