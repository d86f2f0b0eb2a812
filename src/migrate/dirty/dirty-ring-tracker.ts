import { KvmRings, type RingOptions } from './kvm-rings.js';
import { PageBitmap } from './page-bitmap.js';
import type { DirtyTracker } from './tracker.js';

/**
 * KVM's dirty rings as a VMM uses them: it takes what a ring holds when a vCPU exits because of it, and of
 * all rings at a sync. Both reset at once, so a page is armed again before anybody reads it.
 */
export class DirtyRingTracker implements DirtyTracker {
  readonly name: string;
  readonly kvm: KvmRings;
  /** What was taken out of rings since the last sync. */
  readonly #reaped: PageBitmap;
  readonly #backup: PageBitmap | null;
  #on = false;

  /** @throws DeviceError when a ring of this size cannot be */
  constructor(name: string, options: RingOptions) {
    this.name = name;
    this.#reaped = new PageBitmap(options.pages);
    this.#backup = options.withBitmap === true ? new PageBitmap(options.pages) : null;
    this.kvm = new KvmRings(options, () => this.#reap());
  }

  start(): void {
    this.kvm.setLogDirtyPages(true);
    this.#on = true;
  }

  /** Old entries would be in the way of a later start, so the rings are emptied. */
  stop(): void {
    this.kvm.setLogDirtyPages(false);
    this.#on = false;
    this.#reap();
    this.#reaped.clearAll();
  }

  mark(address: number, length: number, vcpu = 0): void {
    this.kvm.write(address, length, vcpu);
  }

  /** While tracking is off the rings are empty, which is no error. */
  sync(into: PageBitmap): number {
    this.kvm.kick();
    this.#reap();
    if (this.#backup !== null && this.#on) {
      // The bitmap comes last: it only gets less while vCPUs stand still.
      this.kvm.getDirtyLog(this.#backup);
      this.#reaped.mergeFrom(this.#backup);
    }
    return into.mergeFrom(this.#reaped);
  }

  #reap(): void {
    for (const ring of this.kvm.rings) ring.harvest((_slot, page) => this.#reaped.set(page));
    this.kvm.resetRings();
  }
}
