import { RAM_FLAGS, RAM_SECTION } from '../uapi/qemu-stream.js';
import type { DirtyTracker } from './dirty/index.js';
import { PageBitmap } from './dirty/index.js';
import type { MultifdSender } from './multifd-sender.js';
import { gatherPages, PAGE_RECORD, PAGE_SIZE, PageScan } from './ram/index.js';
import type { SectionName, SourceStream } from './source-stream.js';
import type { VirtualMachine } from './virtual-machine.js';

/** Name of the one RAM block. */
export const RAM_BLOCK = 'pc.ram';
const BUFFER = 1 << 18;
/** A page request is answered with so many pages at most. */
const REQUEST_PAGES = 256;
/** Ranges in one discard command, as QEMU's. */
const DISCARD_RANGES = 12;

export interface RamSenderOptions {
  readonly vm: VirtualMachine;
  readonly stream: SourceStream;
  readonly multifd: MultifdSender | null;
}

/** The save handlers of RAM (`migration/ram.c`): dirty bitmap, rounds, and the pages that go out. */
export class RamSender {
  readonly #vm: VirtualMachine;
  readonly #stream: SourceStream;
  readonly #multifd: MultifdSender | null;
  readonly #bitmap: PageBitmap;
  readonly #name: SectionName;
  /** Two, so that one is filled while the system takes the other. */
  readonly #buffers: { bytes: Uint8Array; taken: void | Promise<void> }[];
  #turn = 0;
  #scan: PageScan;
  #pages = 0;
  #blockNamed = false;
  #tracking = false;
  #lastSync = 0;
  #requests: number[] = [];
  #wake: (() => void) | null = null;
  /** How often the dirty bitmap was synced. */
  rounds = 0;
  /** Pages sent with their content, and as zero. */
  normal = 0;
  zero = 0;
  /** Bytes per second that the guest and its devices dirty. */
  dirtyRate = 0;

  constructor({ vm, stream, multifd }: RamSenderOptions) {
    this.#vm = vm;
    this.#stream = stream;
    this.#multifd = multifd;
    this.#bitmap = new PageBitmap(vm.ram.pages);
    this.#name = stream.name(RAM_SECTION.idstr, RAM_SECTION.version);
    this.#buffers = [0, 1].map(() => ({ bytes: new Uint8Array(BUFFER), taken: undefined }));
    this.#scan = this.#newScan(0);
  }

  #newScan(from: number): PageScan {
    const trackers = this.#trackers;
    return new PageScan(this.#bitmap, this.#vm.ram, {
      from,
      beforeRead: (first, count) => {
        for (const tracker of trackers) tracker.beforeRead?.(first, count);
      },
    });
  }

  get #trackers(): readonly DirtyTracker[] {
    return [this.#vm.deviceTracker, this.#vm.cpuTracker];
  }

  /** Bytes of pages that are dirty, as far as is known. */
  get pending(): number {
    return this.#pages * PAGE_SIZE;
  }

  /** Bytes of pages that were sent. */
  get bytes(): number {
    return this.normal * PAGE_SIZE;
  }

  /** save_setup: all pages are dirty, tracking starts, and the START section names the block. */
  async start(): Promise<void> {
    const { writer } = this.#stream;
    this.#bitmap.setAll();
    this.#pages = this.#bitmap.pages;
    this.#tracking = true;
    for (const tracker of this.#trackers) await tracker.start();
    this.#vm.chronicle.tell({ kind: 'dirty_tracking_start', ranges: 1 });
    await this.sync(false);
    await this.#stream.section('START', this.#name, async () => {
      const { size } = this.#vm.ram;
      await writer.item({ kind: 'mem-size', total: size });
      await writer.item({ kind: 'block', name: RAM_BLOCK, usedLength: size });
      if (this.#multifd) await writer.item({ kind: 'ram', flag: 'MULTIFD_FLUSH' });
      await writer.item({ kind: 'ram', flag: 'EOS' });
    });
  }

  /**
   * Reads all dirty trackers. Returns how many pages are newly dirty.
   * @param final with the VM stopped: also what is not tracked while devices run
   */
  async sync(final: boolean): Promise<number> {
    let dirty = 0;
    for (const tracker of this.#trackers) {
      if (tracker.syncs === 'when-stopped' && !final) continue;
      dirty += await tracker.sync(this.#bitmap);
    }
    const now = performance.now();
    if (this.rounds > 0) this.dirtyRate = (1000 * dirty * PAGE_SIZE) / Math.max(1, now - this.#lastSync);
    this.#lastSync = now;
    this.rounds++;
    this.#pages += dirty;
    const length = `0x${this.#vm.ram.size.toString(16)}`;
    this.#vm.chronicle.tell({ kind: 'dirty_bitmap', iova: '0x0', length, dirtyPages: dirty });
    this.#vm.chronicle.tell({ kind: 'bitmap_sync', dirtyPages: this.#pages });
    return dirty;
  }

  /** Sends dirty pages in one PART section until the time is over, or none is left. */
  async iterate(deadline: number): Promise<void> {
    if (this.#pages === 0) return;
    await this.#part('PART', deadline);
  }

  /** Sends all that is left in the END section. */
  async complete(): Promise<void> {
    await this.#part('END', Number.POSITIVE_INFINITY);
  }

  async #part(type: 'PART' | 'END', deadline: number): Promise<void> {
    const { writer } = this.#stream;
    await this.#stream.section(type, this.#name, async () => {
      await writer.item({ kind: 'body' });
      if (this.#multifd) await this.#sendByMultifd(this.#multifd, deadline);
      else await this.#sendPages(deadline);
      if (this.#multifd) await writer.data(record(RAM_FLAGS.MULTIFD_FLUSH));
      await writer.data(record(RAM_FLAGS.EOS));
    });
  }

  async #sendPages(deadline: number): Promise<void> {
    while (this.#pages > 0) {
      const buffer = this.#buffers[this.#turn]!;
      this.#turn = 1 - this.#turn;
      await buffer.taken;
      const size = this.#gather(buffer.bytes);
      if (size > 0) buffer.taken = this.#stream.writer.data(buffer.bytes.subarray(0, size));
      if (performance.now() >= deadline) break;
    }
    for (const { taken } of this.#buffers) await taken;
  }

  /** Fills a buffer with the next dirty pages, from the beginning again when the end was reached. */
  #gather(bytes: Uint8Array, limit?: number): number {
    const block = this.#blockNamed ? undefined : RAM_BLOCK;
    const options = { ...(block === undefined ? {} : { block }), ...(limit === undefined ? {} : { limit }) };
    const { bytes: size, normal, zero } = gatherPages(bytes, this.#scan, options);
    if (size === 0) this.#scan = this.#newScan(0);
    else this.#blockNamed = true;
    this.#count(normal, zero);
    return size;
  }

  #count(normal: number, zero: number): void {
    this.normal += normal;
    this.zero += zero;
    this.#pages -= normal + zero;
  }

  async #sendByMultifd(multifd: MultifdSender, deadline: number): Promise<void> {
    while (this.#pages > 0) {
      const { normal, zero } = await multifd.sendPages(this.#scan, this.#vm.ram);
      if (normal + zero === 0) this.#scan = this.#newScan(0);
      this.#count(normal, zero);
      if (performance.now() >= deadline) break;
    }
    await multifd.sync();
  }

  // Post-copy.

  /** Tells which pages the destination must not trust: they were sent and dirtied again, or never sent. */
  async discard(): Promise<void> {
    let ranges: { start: bigint; length: bigint }[] = [];
    const send = () =>
      this.#stream.command({ kind: 'command', name: 'POSTCOPY_RAM_DISCARD', block: RAM_BLOCK, ranges });
    for (let first = this.#bitmap.nextSet(0); first >= 0; ) {
      const end = this.#bitmap.nextClear(first);
      ranges.push({ start: BigInt(first * PAGE_SIZE), length: BigInt((end - first) * PAGE_SIZE) });
      if (ranges.length === DISCARD_RANGES) {
        await send();
        ranges = [];
      }
      first = this.#bitmap.nextSet(end);
    }
    if (ranges.length > 0) await send();
  }

  /** The destination's guest waits for these pages. */
  request(start: number, length: number): void {
    const first = Math.floor(start / PAGE_SIZE);
    const count = Math.min(REQUEST_PAGES, Math.ceil(length / PAGE_SIZE));
    for (let page = first; page < Math.min(first + count, this.#bitmap.pages); page++)
      this.#requests.push(page);
    this.#wake?.();
  }

  /** Sends all that is left while the VM runs elsewhere: what was asked for first. */
  async sendRest(check: () => void): Promise<void> {
    const { writer } = this.#stream;
    const one = new Uint8Array(2 * PAGE_RECORD);
    while (this.#pages > 0) {
      check();
      await this.#stream.section('PART', this.#name, async () => {
        await writer.item({ kind: 'body' });
        const asked = this.#requests.splice(0, REQUEST_PAGES).filter((page) => this.#bitmap.test(page));
        for (const page of asked) await this.#sendOne(page, one);
        if (asked.length === 0) {
          const buffer = this.#buffers[0]!;
          const size = this.#gather(buffer.bytes, REQUEST_PAGES);
          if (size > 0) await writer.data(buffer.bytes.subarray(0, size));
        }
        await writer.data(record(RAM_FLAGS.EOS));
      });
      await writer.flush();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await this.#stream.section('END', this.#name, async () => {
      await writer.item({ kind: 'ram', flag: 'EOS' });
    });
  }

  async #sendOne(page: number, buffer: Uint8Array): Promise<void> {
    if (!this.#bitmap.test(page)) return;
    const { bytes, normal, zero } = gatherPages(buffer, this.#newScan(page), { block: RAM_BLOCK, limit: 1 });
    this.#count(normal, zero);
    await this.#stream.writer.data(buffer.slice(0, bytes));
  }

  /** save_cleanup: tracking ends. */
  async cleanup(): Promise<void> {
    if (!this.#tracking) return;
    this.#tracking = false;
    for (const tracker of this.#trackers) await tracker.stop();
  }
}

/** A RAM record that carries nothing. */
function record(flag: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setUint32(4, flag);
  return bytes;
}
