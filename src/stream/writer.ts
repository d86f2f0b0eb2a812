import { VFIO_STREAM_TAGS } from '../uapi/qemu.js';
import {
  CONFIGURATION_SUBSECTIONS,
  RAM_FLAGS,
  STREAM_BYTES,
  STREAM_COMMANDS,
  STREAM_MAGIC,
  TARGET_PAGE_SIZES,
} from '../uapi/qemu-stream.js';
import type { CommandItem } from './command.js';
import type {
  ConfigurationItem,
  ConfigurationSubsection,
  PageEncoding,
  SectionItem,
  StreamItem,
  StreamSink,
} from './item.js';
import { type ByteSink, Output } from './output.js';
import { RamWriter } from './ram-writer.js';

/** What a written stream looks like. */
export interface WriterOptions {
  /** Target page size; default 4096, or what the configuration says. */
  pageSize?: number;
  /** Keep a checksum of all that is written (`checksumSoFar`). */
  checksum?: boolean;
}

/**
 * Writes a migration stream from its items: the mirror of `StreamReader`, and a sink for one.
 *
 * Each method returns a promise while the byte sink has not taken earlier bytes; waiting for it is what
 * bounds the memory. The writer counts what the items claim (sizes of data and packages) and throws a
 * RangeError where they do not add up; what else they say is theirs.
 */
export class StreamWriter implements StreamSink {
  readonly #out: Output;
  readonly #ram: RamWriter;
  /** Bytes of data that the last item still needs; undefined: any number may come. */
  #owed: number | undefined = 0;
  #packageEnd: number | undefined;

  constructor(sink: ByteSink, options: WriterOptions = {}) {
    this.#out = new Output(sink, options.checksum);
    this.#ram = new RamWriter(this.#out, options.pageSize ?? TARGET_PAGE_SIZES.usual);
  }

  /** Offset at which the next item will stand. */
  get offset(): number {
    return Math.max(this.#out.offset, this.#ram.blockEnd);
  }

  /**
   * Checksum of all bytes written so far, whether or not the byte sink has them.
   * @throws TypeError without the option `checksum`
   */
  checksumSoFar(): number {
    return this.#out.checksumSoFar();
  }

  /** Writes an item. Its data follow by `data`, or its pages by `page`. */
  item(item: StreamItem): void | Promise<void> {
    if (this.#owed !== undefined && this.#owed > 0) {
      throw new RangeError(`${item.kind}: ${this.#owed} bytes of data are missing before it`);
    }
    this.#owed = 0;
    this.#put(item);
    return this.#out.pressure();
  }

  /** Writes data of the last item. */
  data(piece: Uint8Array): void | Promise<void> {
    if (this.#ram.wantsBitmap) this.#ram.bitmap(piece);
    else {
      if (this.#owed !== undefined) {
        if (piece.length > this.#owed) {
          throw new RangeError(`${piece.length} bytes of data where ${this.#owed} are due`);
        }
        this.#owed -= piece.length;
      }
      this.#out.bytes(piece);
    }
    return this.#out.pressure();
  }

  /** Writes a page of RAM. */
  page(block: string, address: number, encoding: PageEncoding, data: Uint8Array): void | Promise<void> {
    this.#ram.page(block, address, encoding, data);
    return this.#out.pressure();
  }

  /** Gives all that is gathered to the byte sink. */
  flush(): void | Promise<void> {
    return this.#out.flush();
  }

  #put(item: StreamItem): void {
    const out = this.#out;
    switch (item.kind) {
      case 'header':
        out.u32(STREAM_MAGIC);
        out.u32(item.version);
        break;
      case 'configuration':
        this.#configuration(item);
        break;
      case 'section':
        this.#section(item);
        break;
      case 'section-end':
        if (!item.footer) break;
        out.u8(STREAM_BYTES.FOOTER);
        out.u32(item.id);
        break;
      case 'mem-size':
        this.#ram.endBlock();
        out.u64(this.#ram.record(item.total, RAM_FLAGS.MEM_SIZE));
        break;
      case 'block':
        this.#ram.block(item);
        break;
      case 'ram':
        this.#ram.endBlock();
        out.u64(RAM_FLAGS[item.flag]);
        break;
      case 'vfio':
        out.u64(VFIO_STREAM_TAGS[item.tag]);
        if (item.tag === 'DEV_DATA_STATE') out.u64(item.size ?? 0);
        this.#owed = item.tag === 'DEV_DATA_STATE' ? (item.size ?? 0) : undefined;
        break;
      case 'body':
        this.#owed = undefined;
        break;
      case 'command':
        this.#command(item);
        break;
      case 'package-end':
        if (out.offset !== this.#packageEnd) {
          throw new RangeError(`the package ends at ${out.offset}, not at ${this.#packageEnd} as announced`);
        }
        this.#packageEnd = undefined;
        break;
      case 'eof':
        out.u8(STREAM_BYTES.EOF);
        break;
      case 'description':
        this.#description(item.text);
        break;
      case 'trailing':
        break;
    }
  }

  #configuration({ machine, subsections }: ConfigurationItem): void {
    const out = this.#out;
    out.u8(STREAM_BYTES.CONFIGURATION);
    out.u32(machine.length);
    out.text(machine);
    for (const each of subsections) this.#subsection(each);
  }

  #subsection(it: ConfigurationSubsection): void {
    const out = this.#out;
    out.u8(STREAM_BYTES.SUBSECTION);
    out.counted(it.name);
    out.u32(it.version);
    if (it.name === CONFIGURATION_SUBSECTIONS.pageBits && it.targetPageBits !== undefined) {
      out.u32(it.targetPageBits);
      this.#ram.pageSize = 2 ** it.targetPageBits;
    } else if (it.name === CONFIGURATION_SUBSECTIONS.capabilities && it.capabilities !== undefined) {
      out.u32(it.capabilities.length);
      for (const name of it.capabilities) out.counted(name);
    } else {
      out.bytes(it.uuid ?? it.data ?? new Uint8Array(0));
    }
  }

  #section({ type, id, idstr, instance, version }: SectionItem): void {
    const out = this.#out;
    out.u8(STREAM_BYTES[type]);
    out.u32(id);
    if (type === 'PART' || type === 'END') return;
    out.counted(idstr);
    out.u32(instance);
    out.u32(version);
  }

  #command(item: CommandItem): void {
    const out = this.#out;
    out.u8(STREAM_BYTES.COMMAND);
    out.u16(STREAM_COMMANDS[item.name].number);
    switch (item.name) {
      case 'PING':
        out.u16(4);
        out.u32(item.value);
        break;
      case 'PACKAGED':
        out.u16(4);
        out.u32(item.size);
        this.#packageEnd = out.offset + item.size;
        // The nested stream may come as items, or as it is.
        this.#owed = undefined;
        break;
      case 'POSTCOPY_ADVISE':
        this.#advice(item.pageSizes, item.targetPageSize);
        break;
      case 'POSTCOPY_RAM_DISCARD':
        out.u16(1 + 1 + item.block.length + 1 + 16 * item.ranges.length);
        out.u8(0);
        out.counted(item.block);
        out.u8(0);
        for (const { start, length } of item.ranges) {
          out.u64(start);
          out.u64(length);
        }
        break;
      case 'RECV_BITMAP':
        out.u16(1 + item.block.length);
        out.counted(item.block);
        break;
      default:
        out.u16(0);
    }
  }

  #advice(pageSizes: bigint | undefined, targetPageSize = this.#ram.pageSize): void {
    const out = this.#out;
    out.u16(pageSizes === undefined ? 0 : 16);
    if (pageSizes === undefined) return;
    out.u64(pageSizes);
    out.u64(targetPageSize);
    this.#ram.pageSize = targetPageSize;
  }

  #description(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.#out.u8(STREAM_BYTES.VMDESCRIPTION);
    this.#out.u32(bytes.length);
    this.#out.bytes(bytes);
  }
}
