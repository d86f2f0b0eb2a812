import { type Linux, LinuxError, loadLinux } from '../../linux/index.js';
import { TargetError } from '../target.js';
import type { AllocatedMemory, VhostTarget } from '../vhost-target.js';
import { sharedMemory } from './user-target.js';
import { type VhostNetBackend, vhostNetBackend } from './vhost-net.js';
import { vhostVdpaBackend } from './vhost-vdpa.js';

/** How the URIs look, for people. */
export const KERNEL_VHOST_FORMS = ['vhost:/dev/vhost-net', 'vhost-vdpa:/dev/vhost-vdpa-N'] as const;

/**
 * The target of `vhost:/dev/vhost-net` or `vhost-vdpa:/dev/vhost-vdpa-N`: a back end of this host's kernel. Nothing is
 * opened yet. Frames are injected through the tap device that vhost-net is opened with.
 * @throws TargetError when the URI is neither, or this system cannot do it
 */
export async function kernelVhostTarget(uri: string): Promise<VhostTarget> {
  const [, scheme, path] = /^(vhost|vhost-vdpa):(\/.+)$/.exec(uri) ?? [];
  if (path === undefined) throw new TargetError(`${uri}: expected ${KERNEL_VHOST_FORMS.join(' or ')}`);
  const memory = new TargetMemory(await load(uri));
  const common = {
    uri,
    profile: undefined,
    allocate: (bytes: number) => memory.allocate(bytes),
    close: () => memory.close(),
  };
  if (scheme === 'vhost-vdpa') {
    const open = () => vhostVdpaBackend(path, { uri, memory: () => memory.all });
    return { ...common, interface: 'vdpa', open };
  }
  let opened: VhostNetBackend | null = null;
  return {
    ...common,
    interface: 'kernel',
    async open() {
      opened = await vhostNetBackend(path, { uri });
      return opened;
    },
    inject: (frame) => {
      opened?.tap.send(frame);
    },
  };
}

async function load(uri: string): Promise<Linux> {
  try {
    return await loadLinux();
  } catch (error) {
    if (error instanceof LinuxError) throw new TargetError(`${uri}: ${error.message}`);
    throw error;
  }
}

/** What a target has given out. */
class TargetMemory {
  readonly all = new Set<AllocatedMemory>();
  readonly #linux: Linux;

  constructor(linux: Linux) {
    this.#linux = linux;
  }

  allocate(length: number): AllocatedMemory {
    const memory = sharedMemory(this.#linux, length);
    const given: AllocatedMemory = {
      ...memory,
      free: () => {
        if (this.all.delete(given)) memory.free();
      },
    };
    this.all.add(given);
    return given;
  }

  close(): void {
    for (const memory of [...this.all]) memory.free();
  }
}
