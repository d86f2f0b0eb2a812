import type { IoAddressSpace } from 'stopcopy/uapi';

/** Guest memory as a device reaches it, which knows where the device wrote last and can be cut off. */
export class WatchedMemory implements IoAddressSpace {
  readonly #memory: IoAddressSpace;
  #last: { iova: number; length: number } | null = null;
  /** Writes of the device are lost. */
  muted = false;

  constructor(memory: IoAddressSpace) {
    this.#memory = memory;
  }

  read(iova: number, into: Uint8Array): void {
    this.#memory.read(iova, into);
  }

  write(iova: number, bytes: Uint8Array): void {
    if (this.muted) return;
    this.#memory.write(iova, bytes);
    if (bytes.length > 0) this.#last = { iova, length: bytes.length };
  }

  /** Writes once more where the device wrote last, other bytes than are there. Nothing when it never wrote. */
  scribble(): void {
    if (this.#last === null) return;
    const bytes = new Uint8Array(Math.min(this.#last.length, 64));
    this.#memory.read(this.#last.iova, bytes);
    this.#memory.write(
      this.#last.iova,
      bytes.map((byte, at) => byte ^ (at + 1)),
    );
  }

  /** A write that the device was never told to make. */
  stray(iova: number, bytes: Uint8Array): void {
    this.#memory.write(iova, bytes);
  }
}
