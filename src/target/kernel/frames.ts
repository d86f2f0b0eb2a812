import { deserialize, serialize } from 'node:v8';

/** A message between the process that makes the calls and the one that asks for them: its length, then itself. */
const HEAD = 4;

/** A message as bytes. */
export function frame(message: unknown): Uint8Array {
  const body = serialize(message);
  const bytes = Buffer.allocUnsafe(HEAD + body.length);
  bytes.writeUInt32LE(body.length);
  bytes.set(body, HEAD);
  return bytes;
}

/** Takes a stream of bytes apart into messages. */
export class Frames {
  #parts: Uint8Array[] = [];
  #size = 0;

  /** The messages that these bytes complete. The bytes are copied where they are kept. */
  *take(bytes: Uint8Array): Generator<unknown> {
    this.#parts.push(Uint8Array.from(bytes));
    this.#size += bytes.length;
    while (this.#size >= HEAD) {
      const end = HEAD + this.#front(HEAD).readUInt32LE();
      if (this.#size < end) return;
      const all = this.#front(end);
      this.#parts = [all.subarray(end)];
      this.#size -= end;
      yield deserialize(all.subarray(HEAD, end));
    }
  }

  /** The parts, joined only when the first one has fewer than so many bytes: a long message is copied once. */
  #front(size: number): Buffer {
    const [first] = this.#parts;
    if (first === undefined || first.length < size) this.#parts = [Buffer.concat(this.#parts)];
    return Buffer.from(this.#parts[0]!.buffer, this.#parts[0]!.byteOffset, this.#parts[0]!.length);
  }
}
