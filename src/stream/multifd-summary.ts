import { MULTIFD_COMPRESSION_MASK, MULTIFD_FLAGS } from '../uapi/qemu-stream.js';
import type { StreamError } from './error.js';
import type { MultifdItem, MultifdRamItem, MultifdSink } from './multifd-item.js';
import { PageCounter } from './page-counter.js';
import { INSPECT_SCHEMA, type InspectReport, type MultifdReport } from './report.js';
import { VfioCounter } from './vfio-counter.js';

/** Takes one multifd channel from its reader and keeps what it consists of, in bounded memory. */
export class MultifdSummary implements MultifdSink {
  readonly #pages = new PageCounter();
  readonly #vfio = new VfioCounter();
  #multifd: MultifdReport | null = null;
  #inVfio = false;
  readonly #origin: number;

  /** @param origin where the channel begins in its file */
  constructor(origin = 0) {
    this.#origin = origin;
  }

  item(item: MultifdItem): void {
    this.#inVfio = false;
    if (item.kind === 'multifd-init') {
      const uuid = Buffer.from(item.uuid).toString('hex');
      this.#multifd = { channel: item.channel, uuid, packets: 0, syncs: 0 };
      return;
    }
    if (this.#multifd !== null) {
      this.#multifd.packets++;
      if ((item.flags & MULTIFD_FLAGS.SYNC) !== 0) this.#multifd.syncs++;
    }
    if (item.kind === 'multifd-ram') {
      this.#count(item);
    } else if (item.vfio !== undefined) {
      this.#inVfio = true;
      this.#vfio.device(item.idstr, item.instance);
      this.#vfio.packet(item.vfio.config);
    }
  }

  data(piece: Uint8Array): void {
    if (this.#inVfio) this.#vfio.data(piece);
  }

  /** What was read, up to the offset `end`. */
  report(end: number, error?: StreamError): InspectReport {
    return {
      schema: INSPECT_SCHEMA,
      format: 'multifd-channel',
      complete: error === undefined,
      offset: this.#origin,
      bytes: end - this.#origin,
      pageSize: null,
      configuration: null,
      sections: [],
      sectionsOmitted: 0,
      commands: [],
      commandsOmitted: 0,
      ram: this.#pages.report(),
      vfio: this.#vfio.report(),
      totals: [],
      eof: null,
      description: null,
      multifd: this.#multifd,
      trailing: 0,
      remarks: [],
      ...(error === undefined ? {} : { error: { offset: error.offset, message: error.message } }),
    };
  }

  #count({ flags, block, normal, zero, size }: MultifdRamItem): void {
    if (normal.length + zero.length === 0) return;
    const encoding = (flags & MULTIFD_COMPRESSION_MASK) === 0 ? 'normal' : 'compressed';
    this.#pages.page(block, encoding, size, normal.length);
    this.#pages.page(block, 'zero', 0, zero.length);
  }
}
