import type { Linux, Watch } from '../linux/index.js';

/** The front end's eventfds: one that each ring is kicked by, and one that it calls by. */
export class VringEvents {
  readonly #linux: Linux;
  readonly #kicks = new Map<number, number>();
  readonly #calls = new Map<number, { fd: number; watch: Watch }>();

  constructor(linux: Linux) {
    this.#linux = linux;
  }

  newKick(ring: number): number {
    this.dropKick(ring);
    const fd = this.#linux.eventfd();
    this.#kicks.set(ring, fd);
    return fd;
  }

  dropKick(ring: number): null {
    const fd = this.#kicks.get(ring);
    this.#kicks.delete(ring);
    if (fd !== undefined) this.#linux.close(fd);
    return null;
  }

  /** A ring without a descriptor is looked at by the back end of its own accord. */
  kick(ring: number): void {
    const fd = this.#kicks.get(ring);
    if (fd !== undefined) this.#linux.writeEvent(fd);
  }

  newCall(ring: number, call: (() => void) | null): number | null {
    const before = this.#calls.get(ring);
    before?.watch.close();
    if (before !== undefined) this.#linux.close(before.fd);
    this.#calls.delete(ring);
    if (call === null) return null;
    const fd = this.#linux.eventfd();
    const watch = this.#linux.watch(fd, { readable: true }, () => {
      if (this.#linux.readEvent(fd) !== null) call();
    });
    this.#calls.set(ring, { fd, watch });
    return fd;
  }

  close(): void {
    for (const ring of [...this.#kicks.keys()]) this.dropKick(ring);
    for (const ring of [...this.#calls.keys()]) this.newCall(ring, null);
  }
}
