import { KVM_DIRTY_LOG_PAGES } from '../../uapi/kvm.js';
import { KvmMemslot, type MemslotOptions } from './kvm-memslot.js';
import { PageBitmap } from './page-bitmap.js';
import type { DirtyTracker } from './tracker.js';

/** KVM's dirty log where GET clears: what a VMM without manual protection does. */
export class KvmAutoTracker implements DirtyTracker {
  readonly name: string;
  readonly slot: KvmMemslot;
  readonly #snapshot: PageBitmap;

  constructor(name: string, options: Omit<MemslotOptions, 'manualProtect'>) {
    this.name = name;
    this.slot = new KvmMemslot(options);
    this.#snapshot = new PageBitmap(options.pages);
  }

  start(): void {
    this.slot.setLogDirtyPages(true);
  }

  stop(): void {
    this.slot.setLogDirtyPages(false);
  }

  mark(address: number, length: number, vcpu = 0): void {
    this.slot.write(address, length, vcpu);
  }

  sync(into: PageBitmap): number {
    this.slot.getDirtyLog(this.#snapshot);
    return into.mergeFrom(this.#snapshot);
  }
}

/**
 * KVM's dirty log with manual protection. A sync only reads; pages are cleared in chunks of 64, the first
 * time that one of a chunk is about to be read. Only what the last sync has seen is cleared, so a write
 * since then stays.
 */
export class KvmManualTracker implements DirtyTracker {
  readonly name: string;
  readonly slot: KvmMemslot;
  readonly #pages: number;
  /** What GET has given. */
  readonly #snapshot: PageBitmap;
  /** Chunks that were not cleared since then. */
  readonly #chunks: PageBitmap;

  constructor(name: string, options: MemslotOptions & { manualProtect: 'enable' | 'initially-set' }) {
    this.name = name;
    this.slot = new KvmMemslot(options);
    this.#pages = options.pages;
    this.#snapshot = new PageBitmap(options.pages);
    this.#chunks = new PageBitmap(Math.ceil(options.pages / KVM_DIRTY_LOG_PAGES));
  }

  start(): void {
    this.slot.setLogDirtyPages(true);
    this.#chunks.clearAll();
  }

  stop(): void {
    this.slot.setLogDirtyPages(false);
  }

  mark(address: number, length: number, vcpu = 0): void {
    this.slot.write(address, length, vcpu);
  }

  sync(into: PageBitmap): number {
    this.slot.getDirtyLog(this.#snapshot);
    this.#chunks.setAll();
    return into.orFrom(this.#snapshot);
  }

  beforeRead(first: number, count: number): void {
    const last = Math.floor((first + count - 1) / KVM_DIRTY_LOG_PAGES);
    let chunk = this.#chunks.nextSet(Math.floor(first / KVM_DIRTY_LOG_PAGES));
    while (chunk >= 0 && chunk <= last) {
      const end = Math.min(this.#chunks.nextClear(chunk), last + 1);
      const page = chunk * KVM_DIRTY_LOG_PAGES;
      const pages = Math.min(end * KVM_DIRTY_LOG_PAGES, this.#pages) - page;
      this.slot.clearDirtyLog(page, pages, this.#snapshot);
      this.#chunks.clearRange(chunk, end - chunk);
      chunk = this.#chunks.nextSet(end);
    }
  }
}
