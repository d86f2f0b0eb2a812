import { isMainThread } from 'node:worker_threads';
import type { Linux } from '../../linux/index.js';

const ITIMER_REAL = 0;

/**
 * A signal that interrupts a system call of the main thread which does not return: SIGALRM after a while. While
 * there is one, SIGALRM is taken for nothing else.
 */
export class Alarm {
  readonly #linux: Linux;
  readonly #ms: number;
  readonly #ignore = () => {};

  constructor(linux: Linux, ms: number) {
    this.#linux = linux;
    this.#ms = ms;
    // Without a listener the signal would end the process; in a worker there can be none.
    if (isMainThread) process.on('SIGALRM', this.#ignore);
  }

  /** Makes a call, which is interrupted (EINTR) after the time of this alarm. */
  during<T>(call: () => T): T {
    if (!isMainThread) return call();
    this.#set(this.#ms);
    try {
      return call();
    } finally {
      this.#set(0);
    }
  }

  close(): void {
    process.off('SIGALRM', this.#ignore);
  }

  /** `struct itimerval` of 64-bit systems: interval, then value, each in seconds and microseconds. */
  #set(ms: number): void {
    const value = BigInt64Array.of(0n, 0n, BigInt(Math.floor(ms / 1000)), BigInt(ms % 1000) * 1000n);
    this.#linux.check(
      this.#linux.foreign.libc.setitimer(ITIMER_REAL, new Uint8Array(value.buffer), null),
      'setitimer',
    );
  }
}
