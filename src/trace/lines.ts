/** Longest line that is kept; what is longer is cut there, so a file without newlines cannot fill memory. */
export const MAX_LINE = 1 << 20;

/**
 * The text on its own. A part of a line keeps the whole line in memory for as long as it lives; what is
 * remembered beyond its line must be detached.
 */
export function detached(text: string): string {
  return Buffer.from(text, 'utf16le').toString('utf16le');
}

/**
 * Cuts blocks of bytes into lines for readers that handle every line as text.
 * Calls `line(text, number)` for each, number from 1, without the newline and a CR before it.
 */
export class LineSplitter {
  #rest: Buffer[] = [];
  #restLength = 0;
  #number = 0;
  readonly #line: (text: string, number: number) => void;
  readonly #longest: number;

  /** @param longest bytes of a line that are kept, for formats that have no longer ones */
  constructor(line: (text: string, number: number) => void, longest = MAX_LINE) {
    this.#line = line;
    this.#longest = longest;
  }

  /** Lines seen so far. */
  get lines(): number {
    return this.#number;
  }

  write(block: Uint8Array): void {
    const bytes = Buffer.from(block.buffer, block.byteOffset, block.byteLength);
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(10, start);
      if (end < 0) break;
      this.#emit(bytes.subarray(start, end));
      start = end + 1;
    }
    if (start < bytes.length) this.#keep(bytes.subarray(start));
  }

  /** Emits a last line that has no newline; returns whether there was one. */
  end(): boolean {
    if (this.#restLength === 0) return false;
    this.#emit(Buffer.alloc(0));
    return true;
  }

  /** Drops a last line that has no newline; returns whether there was one. */
  drop(): boolean {
    if (this.#restLength === 0) return false;
    this.#rest = [];
    this.#restLength = 0;
    this.#number++;
    return true;
  }

  #keep(part: Buffer): void {
    const room = this.#longest - this.#restLength;
    if (room <= 0) return;
    const kept = Buffer.from(part.subarray(0, room));
    this.#rest.push(kept);
    this.#restLength += kept.length;
  }

  #emit(part: Buffer): void {
    let line = part.subarray(0, this.#longest);
    if (this.#restLength > 0) {
      line = Buffer.concat([...this.#rest, part]).subarray(0, this.#longest);
      this.#rest = [];
      this.#restLength = 0;
    }
    this.#number++;
    const end = line.length > 0 && line[line.length - 1] === 13 ? line.length - 1 : line.length;
    this.#line(line.toString('utf8', 0, end), this.#number);
  }
}
