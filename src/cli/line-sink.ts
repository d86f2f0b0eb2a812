import { closeSync, openSync, writeSync } from 'node:fs';
import { UsageError } from './exit.js';
import { stdoutOutput } from './output.js';

const BLOCK = 1 << 16;

/**
 * Takes lines faster than `await` could: a reader pushes its events and cannot wait. Blocks go out
 * synchronously, to a file or to standard output; where a pipe is full, its write waits in the kernel.
 */
export class LineSink {
  readonly #fd: number | undefined;
  #block = '';

  /** @throws UsageError when the file cannot be written */
  constructor(file: string | undefined) {
    stdoutOutput();
    if (file === undefined || file === '-') return;
    try {
      this.#fd = openSync(file, 'w');
    } catch (error) {
      throw new UsageError(`cannot write ${file}: ${(error as NodeJS.ErrnoException).code}`);
    }
  }

  /** Takes text with whole lines. */
  write(text: string): void {
    this.#block += text;
    if (this.#block.length >= BLOCK) this.#flush();
  }

  /** Writes the rest, and waits until standard output has taken it. */
  async end(): Promise<void> {
    if (this.#fd !== undefined) {
      this.#flush();
      closeSync(this.#fd);
      return;
    }
    const rest = this.#block;
    this.#block = '';
    await new Promise<void>((resolve) => process.stdout.write(rest, () => resolve()));
  }

  #flush(): void {
    const block = this.#block;
    this.#block = '';
    if (this.#fd === undefined) process.stdout.write(block);
    else {
      const bytes = Buffer.from(block);
      for (let start = 0; start < bytes.length; ) start += writeSync(this.#fd, bytes, start);
    }
  }
}
