import { DeviceError } from '../uapi/device.js';
import { EPOLL_CTL, OPEN } from './constants.js';
import { type Foreign, failed, type Interest, type PollHandle } from './libc.js';

/** What a watched descriptor is ready for; `failed`: an error stands there, and nothing more will be told. */
export interface Ready {
  readonly readable: boolean;
  readonly writable: boolean;
  readonly failed: boolean;
}

/** A descriptor that is watched. It is not closed with the watch. */
export interface Watch {
  /** What it tells of from now on. */
  want(interest: Interest): void;
  /** No callback comes after this. It must come before the descriptor is closed. */
  close(): void;
}

/** Watches descriptors within the event loop, by way of libuv. */
export class Watches {
  readonly #foreign: Foreign;
  /** By descriptor. Whoever is not held here could be collected, and would tell nothing more. */
  readonly #open = new Map<number, Watch>();
  #epoll: number | null = null;

  constructor(foreign: Foreign) {
    this.#foreign = foreign;
  }

  /** See `Linux.watch`. */
  watch(fd: number, interest: Interest, told: (ready: Ready) => void): Watch {
    if (this.#open.has(fd)) throw new DeviceError('EBUSY', `descriptor ${fd} is watched already`);
    this.#refuseUnwatchable(fd);
    let handle: PollHandle | null = null;
    // The callback comes from outside of Node: what it resolves would wait for whatever comes next.
    const soon = (status: number, { readable, writable }: { readable: boolean; writable: boolean }) =>
      setImmediate(() => {
        if (handle !== null) told({ readable, writable, failed: status < 0 });
      });
    handle = this.#foreign.poll(fd, { readable: true }, soon);
    const watch: Watch = {
      want({ readable = false, writable = false }) {
        if (readable || writable) handle?.start({ readable, writable }, soon);
        else handle?.stop();
      },
      close: () => {
        handle?.close();
        handle = null;
        if (this.#open.get(fd) === watch) this.#open.delete(fd);
      },
    };
    this.#open.set(fd, watch);
    watch.want(interest);
    return watch;
  }

  /** koffi ends the process when libuv cannot watch a descriptor, so that is found out before. */
  #refuseUnwatchable(fd: number): void {
    const { libc, errno } = this.#foreign;
    this.#epoll ??= libc.epollCreate(OPEN.CLOEXEC);
    const event = new Uint8Array(16);
    const added = libc.epollControl(this.#epoll, EPOLL_CTL.ADD, fd, event);
    if (added === -1) throw failed(errno(), `descriptor ${fd} cannot be watched`);
    libc.epollControl(this.#epoll, EPOLL_CTL.DEL, fd, event);
  }
}
