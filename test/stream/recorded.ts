import type { PageEncoding, StreamItem, StreamSink } from '../../src/stream/item.js';
import type { MultifdItem } from '../../src/stream/multifd-item.js';
import { type ReaderOptions, StreamReader } from '../../src/stream/reader.js';
import { StreamWriter, type WriterOptions } from '../../src/stream/writer.js';

/** What a sink was given, in its order; data that came in pieces stand in one entry. */
export type Entry =
  | StreamItem
  | MultifdItem
  | { kind: 'page'; block: string; address: number; encoding: PageEncoding; hex: string }
  | { kind: 'data'; hex: string };

/** A sink that keeps all it is given. */
export class Recorder implements StreamSink {
  readonly entries: Entry[] = [];
  /** Offset and size of each item. */
  readonly places: [number, number][] = [];

  item(item: StreamItem | MultifdItem, offset: number, size: number): void {
    this.entries.push(structuredClone(item));
    this.places.push([offset, size]);
  }

  page(block: string, address: number, encoding: PageEncoding, data: Uint8Array): void {
    this.entries.push({ kind: 'page', block, address, encoding, hex: Buffer.from(data).toString('hex') });
  }

  data(piece: Uint8Array): void {
    const hex = Buffer.from(piece).toString('hex');
    const last = this.entries.at(-1);
    if (last?.kind === 'data') last.hex += hex;
    else if (hex !== '') this.entries.push({ kind: 'data', hex });
  }
}

/** Feeds bytes in blocks that end at the cuts. A block is overwritten afterwards, as its owner may do. */
export function feed(
  reader: { write(block: Uint8Array): void; end(): void },
  bytes: Uint8Array,
  cuts: readonly number[] = [],
): void {
  const ends = cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b);
  let start = 0;
  for (const end of [...ends, bytes.length]) {
    const block = Buffer.from(bytes.subarray(start, end));
    reader.write(block);
    block.fill(0xaa);
    start = end;
  }
  reader.end();
}

/** All that a stream consists of. */
export function readAll(
  bytes: Uint8Array,
  cuts: readonly number[] = [],
  options: ReaderOptions = {},
): Entry[] {
  const recorder = new Recorder();
  feed(new StreamReader(recorder, options), bytes, cuts);
  return recorder.entries;
}

/** Writes a stream and records what was asked for. */
export class Scribe {
  readonly entries: Entry[] = [];
  readonly #writer: StreamWriter;
  readonly #recorder = new Recorder();
  readonly #blocks: Buffer[] = [];

  constructor(options: WriterOptions = {}) {
    this.entries = this.#recorder.entries;
    this.#writer = new StreamWriter((bytes) => void this.#blocks.push(Buffer.from(bytes)), options);
  }

  get offset(): number {
    return this.#writer.offset;
  }

  item(...items: StreamItem[]): this {
    for (const item of items) {
      this.#recorder.item(item, 0, 0);
      void this.#writer.item(item);
    }
    return this;
  }

  data(bytes: Uint8Array): this {
    this.#recorder.data(bytes);
    void this.#writer.data(bytes);
    return this;
  }

  page(block: string, address: number, encoding: PageEncoding, data: Uint8Array): this {
    this.#recorder.page(block, address, encoding, data);
    void this.#writer.page(block, address, encoding, data);
    return this;
  }

  bytes(): Buffer {
    void this.#writer.flush();
    return Buffer.concat(this.#blocks);
  }
}
