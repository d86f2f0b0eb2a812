import {
  type ByteSink,
  type ChannelDigest,
  DIGEST_SECTION,
  encodeDigest,
  type StreamItem,
  StreamWriter,
} from '../stream/index.js';
import { type SectionType, STREAM_VERSION } from '../uapi/qemu-stream.js';
import {
  type DescribedEntry,
  describeBytes,
  describeEntry,
  saveVmState,
  type VmStateEntry,
  vmDescriptionText,
} from '../vmstate/index.js';

/** A state that has sections in the stream. */
export interface SectionName {
  readonly id: number;
  readonly idstr: string;
  readonly instance: number;
  readonly version: number;
}

/** The main channel of a migration as the source writes it: sections, commands, and the vmdescription at its end. */
export class SourceStream {
  readonly writer: StreamWriter;
  readonly #described: DescribedEntry[] = [];
  #nextId = 0;

  constructor(sink: ByteSink) {
    this.writer = new StreamWriter(sink, { checksum: true });
  }

  /** Bytes written so far. */
  get bytes(): number {
    return this.writer.offset;
  }

  /** A name for a state, with an id of its own. */
  name(idstr: string, version: number, instance = 0): SectionName {
    return { id: this.#nextId++, idstr, instance, version };
  }

  async header(machine: string): Promise<void> {
    await this.writer.item({ kind: 'header', version: STREAM_VERSION });
    await this.writer.item({ kind: 'configuration', machine, subsections: [] });
  }

  async command(item: Extract<StreamItem, { kind: 'command' }>): Promise<void> {
    await this.writer.item(item);
    await this.writer.flush();
  }

  /** A section; `body` writes what is between its head and its footer. */
  async section(type: SectionType, name: SectionName, body: () => Promise<void>): Promise<void> {
    await this.writer.item({ kind: 'section', type, ...name });
    await body();
    await this.writer.item({ kind: 'section-end', id: name.id, footer: true });
  }

  /** A FULL section of a described state. */
  async state(entry: VmStateEntry): Promise<void> {
    const { idstr, instance, description, target } = entry;
    const name = this.name(idstr, description.version, instance);
    await this.section('FULL', name, async () => {
      await this.writer.item({ kind: 'body' });
      await this.writer.data(saveVmState(description, target));
    });
    this.#described.push(describeEntry(entry));
  }

  /** A FULL section of a state that the vmdescription knows by its size only, as QEMU does it for VFIO. */
  async opaque(name: SectionName, body: () => Promise<void>): Promise<void> {
    let size = 0;
    await this.section('FULL', name, async () => {
      const start = this.writer.offset;
      await body();
      size = this.writer.offset - start;
    });
    this.#described.push(describeBytes(name.idstr, name.instance, size));
  }

  /** The section with the checksums of all that was sent before it. */
  async digest(channels: readonly ChannelDigest[]): Promise<void> {
    const name = this.name(DIGEST_SECTION.idstr, DIGEST_SECTION.version);
    await this.opaque(name, async () => {
      await this.writer.item({ kind: 'body' });
      await this.writer.data(encodeDigest(this.writer.checksumSoFar(), channels));
    });
    await this.writer.flush();
  }

  /** What a destination needs to run the VM before its RAM is there, in one piece: states between LISTEN and RUN. */
  async postcopyPackage(states: readonly VmStateEntry[]): Promise<void> {
    const pieces: Uint8Array[] = [];
    const nested = new StreamWriter((bytes) => void pieces.push(Uint8Array.from(bytes)));
    await nested.item({ kind: 'command', name: 'POSTCOPY_LISTEN' });
    for (const { idstr, instance, description, target } of states) {
      const name = this.name(idstr, description.version, instance);
      await nested.item({ kind: 'section', type: 'FULL', ...name });
      await nested.item({ kind: 'body' });
      await nested.data(saveVmState(description, target));
      await nested.item({ kind: 'section-end', id: name.id, footer: true });
    }
    await nested.item({ kind: 'command', name: 'POSTCOPY_RUN' });
    await nested.flush();
    const bytes = Buffer.concat(pieces);
    await this.writer.item({ kind: 'command', name: 'PACKAGED', size: bytes.length });
    await this.writer.data(bytes);
    await this.writer.item({ kind: 'package-end' });
    await this.writer.flush();
  }

  /** EOF and vmdescription: from the first byte of it on, the destination may run the VM. */
  async end(pageSize: number): Promise<void> {
    const text = vmDescriptionText(pageSize, this.#described);
    await this.writer.item({ kind: 'eof' });
    await this.writer.item({ kind: 'description', text, description: { devices: [] } });
    await this.writer.flush();
  }
}
