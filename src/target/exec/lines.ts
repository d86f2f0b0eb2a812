/** Cuts a byte stream into lines of bounded length. */
export class Lines {
  #rest = '';
  /** A line was longer than the bound: what follows is of no use. */
  #tooLong = false;
  readonly #decoder = new TextDecoder();

  /**
   * @param longest most characters of a line, without its end
   * @param line takes each whole line, without its end
   * @param tooLong told once, with the beginning of the line
   */
  constructor(
    readonly longest: number,
    readonly line: (text: string) => void,
    readonly tooLong: (begin: string) => void,
  ) {}

  push(bytes: Uint8Array): void {
    if (this.#tooLong) return;
    const parts = this.#decoder.decode(bytes, { stream: true }).split('\n');
    for (const [index, part] of parts.entries()) {
      this.#rest += part;
      if (this.#rest.length > this.longest) {
        this.#tooLong = true;
        this.tooLong(this.#rest.slice(0, this.longest));
        return;
      }
      if (index < parts.length - 1) this.#take();
    }
  }

  /** The stream has ended: a last line without an end is one too. */
  end(): void {
    if (!this.#tooLong && this.#rest !== '') this.#take();
  }

  #take(): void {
    const text = this.#rest.endsWith('\r') ? this.#rest.slice(0, -1) : this.#rest;
    this.#rest = '';
    this.line(text);
  }
}
