import { closeSync, openSync, write, writeSync } from 'node:fs';
import { CAPTURE_HEAD } from '../../vhost-user/index.js';
import { UsageError } from '../exit.js';

/** Bytes that may wait for the disk; lines that come then are left out. */
const MOST_WAITING = 1 << 26;

/** A capture that is written beside the connection: for its owner only, and nobody waits for the disk. */
export class CaptureFile {
  readonly #fd: number;
  readonly #mostWaiting: number;
  #lines = CAPTURE_HEAD;
  #isWriting = false;
  #missed = 0;
  #failure: string | null = null;
  #idle: (() => void) | null = null;

  /** @throws UsageError when the file cannot be written */
  constructor(file: string, mostWaiting = MOST_WAITING) {
    this.#mostWaiting = mostWaiting;
    try {
      this.#fd = openSync(file, 'w', 0o600);
    } catch (error) {
      throw new UsageError(`cannot write ${file}: ${(error as NodeJS.ErrnoException).code}`);
    }
    this.#flush();
  }

  add(line: string): void {
    if (this.#failure !== null || this.#lines.length > this.#mostWaiting) {
      this.#missed++;
      return;
    }
    this.#lines += line;
    this.#flush();
  }

  /** Writes what is left. Says how many lines are missing, and why. */
  async close(): Promise<{ missed: number; failure: string | null }> {
    if (this.#isWriting) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    try {
      const rest = Buffer.from(this.#failure === null ? this.#lines : '');
      for (let done = 0; done < rest.length; ) done += writeSync(this.#fd, rest, done);
    } catch (error) {
      this.#failure = (error as Error).message;
    }
    closeSync(this.#fd);
    return { missed: this.#missed, failure: this.#failure };
  }

  #flush(): void {
    if (this.#isWriting || this.#lines === '' || this.#failure !== null || this.#idle !== null) return;
    this.#isWriting = true;
    const bytes = Buffer.from(this.#lines);
    this.#lines = '';
    this.#write(bytes);
  }

  #write(bytes: Buffer): void {
    write(this.#fd, bytes, (error, written) => {
      if (error === null && written < bytes.length) return this.#write(bytes.subarray(written));
      this.#isWriting = false;
      if (error !== null) this.#failure = error.message;
      this.#flush();
      if (!this.#isWriting) this.#idle?.();
    });
  }
}
