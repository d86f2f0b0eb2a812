import { VHOST_USER_REQUESTS } from '../../uapi/vhost-user.js';
import { put } from './uapi-fds.js';

/** Most vhost_devs, and most vdpa pointers, that are followed at a time. */
const LIMIT = 8192;
/** Longest pointer of which something is remembered. */
const MAX_POINTER = 64;
/** `struct vhost_vdpa` stands inside the state of its network client: so far behind its beginning at most. */
const STATE_SIZE = 4096n;

/** A back end: what the events of all its vhost_devs are told of. */
interface BackEnd {
  readonly name: string;
  /** vhost_devs of a vdpa device that are not cleaned up; 0 for other back ends. */
  devs: number;
  /** Status bits of a vdpa device; absent where the log has not shown the whole status. */
  status: number | undefined;
  /** Whether a vdpa device runs with shadow virtqueues. */
  shadow: boolean;
}

function backEnd(name: string): BackEnd {
  return { name, devs: 0, status: undefined, shadow: false };
}

/**
 * One name for each vhost back end of a QEMU log. Lines show pointers: to a `struct vhost_dev`, of which a back
 * end has one for each pair of queues, to a `struct vhost_vdpa`, or to what its vhost_devs share. Messages of
 * vhost-user show nothing: they belong to the one connection of the VM. Where a VM has several, nobody can tell
 * whose a message is, and they have no name.
 */
export class VhostNames {
  readonly #devs = new Map<string, BackEnd>();
  readonly #vdpas = new Map<string, BackEnd>();
  /** vhost_devs whose set-up was seen, and sent no message of vhost-user. */
  readonly #silent = new Map<string, true>();
  #user: BackEnd | undefined;
  /** SET_OWNER was sent on the connection. */
  #owned = false;
  /** The vhost_dev that is being set up. */
  #init: string | undefined;
  #several = false;

  /** More than one connection of vhost-user was seen: messages belong to nobody from here on. */
  get several(): boolean {
    return this.#several;
  }

  /** The name of the back end behind a vhost_dev. */
  dev(pointer: string): string {
    const known = this.#devs.get(pointer)?.name;
    if (known !== undefined) return known;
    const ofUser = !this.#several && !this.#silent.has(pointer);
    return (ofUser ? this.#user?.name : undefined) ?? `vhost ${pointer}`;
  }

  /** The vdpa device of a vhost_dev. */
  #vdpaOf(pointer: string): BackEnd {
    const found = this.#devs.get(pointer) ?? backEnd(`vhost ${pointer}`);
    remember(this.#devs, pointer, found);
    return found;
  }

  initBegins(pointer: string): void {
    this.#init = pointer;
  }

  initEnds(pointer: string): void {
    this.#init = undefined;
    if (!this.#devs.has(pointer)) remember(this.#silent, pointer, true);
  }

  /** `vhost_dev_cleanup`: the pointer may come again for another back end. */
  cleanedUp(pointer: string): void {
    this.#silent.delete(pointer);
    // Of a vdpa device `vhost_vdpa_cleanup` follows, with the same pointer.
    if (this.#devs.get(pointer)?.devs === 0) this.#devs.delete(pointer);
  }

  /** The chardev of a vhost-user back end was opened. Returns the back end's name. */
  userOpened(chardev: string): string {
    const name = `vhost-user ${chardev}`;
    this.#user ??= backEnd(name);
    if (this.#user.name !== name) this.#several = true;
    this.#owned = false;
    return name;
  }

  userClosed(chardev: string): string {
    this.#owned = false;
    return `vhost-user ${chardev}`;
  }

  /** Whose a message is, or `undefined` where that cannot be told. */
  message(written: boolean, request: number | undefined): string | undefined {
    this.#user ??= backEnd('vhost-user');
    if (written && request === VHOST_USER_REQUESTS.SET_OWNER) {
      // Sent once for each connection. The end of an older one would have been seen.
      if (this.#owned) this.#several = true;
      this.#owned = true;
    }
    if (this.#several) return undefined;
    if (this.#init !== undefined) remember(this.#devs, this.#init, this.#user);
    return this.#user.name;
  }

  /**
   * A vhost_dev of a vdpa device comes up. `shared` is what all vhost_devs of the device point to; QEMU 7.2 has
   * no such thing, and there each is a device of its own.
   * Returns the name, and whether this is the device's first vhost_dev.
   */
  vdpaInit(pointer: string, vdpa: string, shared = vdpa): { name: string; first: boolean } {
    const found = this.#vdpas.get(shared) ?? backEnd(`vhost-vdpa ${shared}`);
    if (shared.length <= MAX_POINTER) {
      remember(this.#devs, pointer, found);
      remember(this.#vdpas, vdpa, found);
      remember(this.#vdpas, shared, found);
    }
    if (found.devs === 0) found.status = 0;
    return { name: found.name, first: found.devs++ === 0 };
  }

  /** Returns the name when it was the device's last vhost_dev. */
  vdpaCleanup(pointer: string, vdpa: string): string | undefined {
    const found = this.#devs.get(pointer);
    this.#devs.delete(pointer);
    this.#vdpas.delete(vdpa);
    if (found === undefined || --found.devs > 0) return undefined;
    for (const [key, value] of this.#vdpas) if (value === found) this.#vdpas.delete(key);
    return found.name;
  }

  /** The name by a pointer to `struct vhost_vdpa`, or to what is shared. */
  vdpa(pointer: string): string {
    return this.#vdpas.get(pointer)?.name ?? `vhost-vdpa ${pointer}`;
  }

  /** The name by the state of a network client: it holds the `struct vhost_vdpa`. */
  vdpaState(pointer: string): string {
    const start = address(pointer);
    if (start !== undefined)
      for (const [key, value] of this.#vdpas) {
        const at = address(key);
        if (at !== undefined && at >= start && at - start < STATE_SIZE) return value.name;
      }
    return `vhost-vdpa ${pointer}`;
  }

  /** SET_STATUS with further bits: the name, and the whole status where it is known. */
  addStatus(pointer: string, bits: number): { name: string; status: number | undefined } {
    const found = this.#vdpaOf(pointer);
    if (found.status !== undefined) found.status |= bits;
    return found;
  }

  /** SET_STATUS with 0. Returns the name. */
  reset(pointer: string): string {
    const found = this.#vdpaOf(pointer);
    found.status = 0;
    return found.name;
  }

  /** A ring was given to a vdpa device, a shadow or the guest's: the name, and whether that is a change. */
  shadow(pointer: string, on: boolean): { name: string; changed: boolean } {
    const found = this.#vdpaOf(pointer);
    const changed = found.shadow !== on;
    found.shadow = on;
    return { name: found.name, changed };
  }
}

function remember<V>(map: Map<string, V>, pointer: string, value: V): void {
  if (pointer.length <= MAX_POINTER) put(map, pointer, value, LIMIT);
}

function address(pointer: string): bigint | undefined {
  return /^0x[0-9a-f]{1,16}$/.test(pointer) ? BigInt(pointer) : undefined;
}
