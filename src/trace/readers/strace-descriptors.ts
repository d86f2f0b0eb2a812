import type { VhostInterface } from '../../uapi/vhost-backend.js';
import { detached } from '../lines.js';
import { put } from './uapi-fds.js';

/** What a descriptor of the traced program is, where it is one that a reader looks at. */
export type Descriptor = { readonly device: string; group: number } & (
  | { readonly kind: 'vhost'; via: VhostInterface }
  | { readonly kind: 'vm'; vcpus: number }
  | { readonly kind: 'vcpu'; readonly vcpu: number }
  | { readonly kind: 'iommufd' | 'container' }
);

type Making = Descriptor extends infer D ? (D extends unknown ? Omit<D, 'group'> : never) : never;

/** Most descriptors, and most threads, that are followed at a time. */
const LIMIT = 4096;

/** What a path says that its descriptor is. */
function byPath(path: string, fd: number): Making | undefined {
  const vhost = /^\/dev\/(vhost-(?:vdpa-\d{1,5}|[a-z]{1,16}))(?![\w-])/.exec(path)?.[1];
  if (vhost !== undefined)
    return {
      kind: 'vhost',
      device: detached(`${vhost} fd ${fd}`),
      via: vhost.startsWith('vhost-vdpa') ? 'vdpa' : 'kernel',
    };
  if (path.startsWith('anon_inode:kvm-vm')) return { kind: 'vm', device: `kvm-vm fd ${fd}`, vcpus: 0 };
  if (/^\/dev\/iommu(?![\w-])/.test(path)) return { kind: 'iommufd', device: `iommufd ${fd}` };
  if (/^\/dev\/vfio\/vfio(?![\w-])/.test(path)) return { kind: 'container', device: `container fd ${fd}` };
  return undefined;
}

/**
 * The descriptors of the traced program, followed over open, dup and close. Threads share them; a process that was
 * forked has copies, and what it closes stays open for the one that uses it.
 */
export class Descriptors {
  readonly #open = new Map<number, Descriptor>();
  /** How often a VM was made on a descriptor. */
  readonly #vms = new Map<string, number>();
  /** Process of a thread, by the thread that it began with; 0 for those whose beginning was not seen. */
  readonly #groups = new Map<number, number>();

  /** `fork`, `vfork`, `clone`, `clone3` has returned in the parent. */
  forked(parent: number, child: number, shared: boolean): void {
    put(this.#groups, child, shared ? this.process(parent) : child, LIMIT);
  }

  /** The process of a thread. */
  process(thread: number): number {
    return this.#groups.get(thread) ?? 0;
  }

  /** The descriptor that a call is made on; `path` is known with `-y`. */
  used(fd: number, path: string | undefined, thread: number): Descriptor | undefined {
    const known = this.#open.get(fd) ?? (path === undefined ? undefined : this.opened(fd, path, thread));
    if (known !== undefined) known.group = this.process(thread);
    return known;
  }

  /** A descriptor was opened; what it was before is gone. */
  opened(fd: number, path: string, thread: number): Descriptor | undefined {
    const made = byPath(path, fd);
    if (made === undefined) {
      this.#open.delete(fd);
      return undefined;
    }
    return this.put(fd, made, thread);
  }

  put(fd: number, made: Making, thread: number): Descriptor {
    const descriptor: Descriptor = { ...made, device: this.#named(made), group: this.process(thread) };
    put(this.#open, fd, descriptor, LIMIT);
    return descriptor;
  }

  /** Nothing in a trace says that a VM is a new one: where the descriptor is used again, its name has a number. */
  #named({ kind, device }: Making): string {
    if (kind !== 'vm') return device;
    const count = (this.#vms.get(device) ?? 0) + 1;
    put(this.#vms, device, count, LIMIT);
    return count === 1 ? device : `${device} #${count}`;
  }

  duplicated(from: number, to: number): void {
    const descriptor = this.#open.get(from);
    if (descriptor === undefined) this.#open.delete(to);
    else put(this.#open, to, descriptor, LIMIT);
  }

  /** What was closed, when this was the last descriptor of it. */
  closed(fd: number, thread: number): Descriptor | undefined {
    const descriptor = this.#open.get(fd);
    if (descriptor === undefined || descriptor.group !== this.process(thread)) return undefined;
    this.#open.delete(fd);
    return [...this.#open.values()].includes(descriptor) ? undefined : descriptor;
  }
}
