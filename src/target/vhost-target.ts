import type { Awaitable } from '../uapi/device.js';
import type { SharedMemory, VhostBackend, VhostInterface } from '../uapi/vhost-backend.js';

/** Memory that a back end can be given. */
export interface AllocatedMemory extends SharedMemory {
  /** Where it is mapped here: the userspace_addr of a region that begins with it. */
  readonly address: number;
  free(): void;
}

/** A back end under test, reached over some interface. */
export interface VhostTarget {
  /** As the user wrote it, such as `vhost-user:/run/vhost.sock`. */
  readonly uri: string;
  readonly interface: VhostInterface;
  /** The profile (`machines/profiles.ts`) whose deviations this kind of target is known for; undefined: none. */
  readonly profile: string | undefined;
  /** Memory that the back end can map, zeroed; whole pages of 4096 bytes. */
  allocate(bytes: number): AllocatedMemory;
  /**
   * Opens the back end anew: a connection, or its file. It may be opened again after `close` of what came.
   * @throws TargetError when it is not there, not permitted, or of another kind
   */
  open(): Awaitable<VhostBackend>;
  /** Has a back end of this process work; one that works by itself needs none. */
  settle?(): Awaitable<void>;
  /** Sends a frame to the guest from the other side of the back end; absent: nobody here can. */
  inject?(frame: Uint8Array): Awaitable<void>;
  /** Ends everything of the target. */
  close(): Awaitable<void>;
}
