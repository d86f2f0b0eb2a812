import { DeviceError, type IoAddressSpace } from '../../uapi/device.js';

/** Bytes that cross in one piece. */
const ROOM = 1 << 16;
/** Words before them: how often the thread was woken, whether the answer is there, and its errno. */
const [WOKEN, DONE, ERRNO] = [0, 1, 2] as const;
const HEAD = 16;

/** Memory that both threads see, for one transfer at a time. */
export class DmaWindow {
  readonly shared: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(shared = new SharedArrayBuffer(HEAD + ROOM)) {
    this.shared = shared;
    this.#words = new Int32Array(shared, 0, HEAD / 4);
    this.#bytes = new Uint8Array(shared, HEAD);
  }

  /** The bytes of a transfer; a copy, since others may not take shared memory. */
  take(length: number): Uint8Array {
    return this.#bytes.slice(0, length);
  }

  put(bytes: Uint8Array): void {
    this.#bytes.set(bytes);
  }

  begin(): void {
    Atomics.store(this.#words, DONE, 0);
  }

  /**
   * The thread stands still until the other one has answered. Returns the errno or 0.
   * @param woken called first, and whenever the other thread has woken this one
   */
  wait(woken: () => void): number {
    for (;;) {
      const seen = Atomics.load(this.#words, WOKEN);
      woken();
      if (Atomics.load(this.#words, DONE) === 1) return Atomics.load(this.#words, ERRNO);
      Atomics.wait(this.#words, WOKEN, seen);
    }
  }

  answer(errno: number): void {
    Atomics.store(this.#words, ERRNO, errno);
    Atomics.store(this.#words, DONE, 1);
    this.wake();
  }

  /** Wakes the thread, should it stand still: there is a message for it. */
  wake(): void {
    Atomics.add(this.#words, WOKEN, 1);
    Atomics.notify(this.#words, WOKEN);
  }
}

/** A transfer that the other thread is asked for. */
export interface DmaRequest {
  readonly dma: 'read' | 'write';
  readonly iova: number;
  readonly length: number;
}

/**
 * Guest memory as a model reaches it, which does not wait: each transfer stands still until the client of the
 * other thread has answered, so a device sees what guest memory holds at that moment, and its writes are done when
 * they return. Meanwhile the other thread goes on, with the socket and with signals, and here what comes from it
 * is looked at: a client whose CPU waits for a register may answer no DMA before it has its value.
 */
export class BlockingMemory implements IoAddressSpace {
  readonly #window: DmaWindow;
  readonly #ask: (request: DmaRequest) => void;
  readonly #woken: () => void;

  /** @param woken called while a transfer stands still, when a message may have come */
  constructor(window: DmaWindow, ask: (request: DmaRequest) => void, woken: () => void) {
    this.#window = window;
    this.#ask = ask;
    this.#woken = woken;
  }

  read(iova: number, into: Uint8Array): void {
    this.#pieces('read', iova, into, (part) => {
      this.#transfer({ dma: 'read', iova: part.iova, length: part.bytes.length });
      part.bytes.set(this.#window.take(part.bytes.length));
    });
  }

  write(iova: number, bytes: Uint8Array): void {
    this.#pieces('write', iova, bytes, (part) => {
      this.#window.put(part.bytes);
      this.#transfer({ dma: 'write', iova: part.iova, length: part.bytes.length });
    });
  }

  #pieces(
    dma: DmaRequest['dma'],
    iova: number,
    bytes: Uint8Array,
    move: (part: { iova: number; bytes: Uint8Array }) => void,
  ): void {
    if (!Number.isSafeInteger(iova) || iova < 0 || !Number.isSafeInteger(iova + bytes.length))
      throw new DeviceError('EFAULT', `no address 0x${iova.toString(16)} for a ${dma}`);
    for (let at = 0; at < bytes.length; at += ROOM)
      move({ iova: iova + at, bytes: bytes.subarray(at, at + ROOM) });
  }

  #transfer(request: DmaRequest): void {
    this.#window.begin();
    this.#ask(request);
    if (this.#window.wait(this.#woken) === 0) return;
    throw new DeviceError('EFAULT', `no memory at 0x${request.iova.toString(16)} for a ${request.dma}`);
  }
}
