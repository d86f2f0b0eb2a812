import { KvmDirtyModel } from '../machines/kvm-dirty-model.js';
import type { EventOf } from '../trace/event.js';
import { KVM_PAGE } from '../uapi/kvm.js';

/** Pages of the largest slot whose log is followed page by page, and most slots. */
const MOST = { pages: 65_536, slots: 64 };

type PageRuns = readonly (readonly [first: number, count: number])[];

/** The pages of runs, those behind the slot left out; undefined when runs lie over each other, which no log does. */
function pagesOf(runs: PageRuns, slotPages: number): number[] | undefined {
  const pages: number[] = [];
  for (const [first, count] of runs)
    for (let page = first; page < Math.min(first + count, slotPages); page++)
      if (pages.push(page) > slotPages) return undefined;
  return pages;
}

/**
 * What the bitmap logs of a VM have to say, by the model of `kvm-dirty-model.ts`. Slots are followed from the moment
 * at which the trace shows them with their size; a large one is left alone.
 */
export class KvmContent {
  #made: KvmDirtyModel | undefined;
  readonly #pages = new Map<number, number>();
  /** A capability was set, and to what does not show: how GET works is not known. */
  #unknown = false;

  /** Made when it is needed: most devices of a trace are no VM. */
  get #model(): KvmDirtyModel {
    this.#made ??= new KvmDirtyModel({ addressSpaces: 0x1_0000, slots: 0x1_0000, ringWithBitmap: true });
    return this.#made;
  }

  cap(event: EventOf<'kvm_enable_cap'>): void {
    const { capability, argument, errno } = event;
    if (errno) return;
    if (capability === 'dirty_ring_with_bitmap')
      this.#model.take({ call: 'dirty_ring_with_bitmap' }, { errno: 0 });
    else if (capability !== 'manual_protect')
      this.#model.take({ call: 'dirty_ring', bytes: argument ?? 0 }, { errno: 0 });
    else if (argument !== undefined)
      this.#model.take({ call: 'manual_protect', flags: argument }, { errno: 0 });
    else this.#unknown = true;
  }

  memslot({ slot, log, gpa, size, errno }: EventOf<'kvm_memslot'>): void {
    if (errno) return;
    if (size === undefined) {
      this.#pages.delete(slot);
      return;
    }
    const pages = Number(size) / KVM_PAGE;
    const follows =
      pages > 0 && pages <= MOST.pages && (this.#pages.has(slot) || this.#pages.size < MOST.slots);
    if (follows) this.#pages.set(slot, pages);
    else this.#pages.delete(slot);
    const bytes = follows ? Number(size) : 0;
    this.#model.take(
      { call: 'memslot', slot, log, gpa: Number(gpa ?? 0), size: bytes, uaddr: 0 },
      { errno: 0 },
    );
  }

  /** The pages of a slot that is followed and logs. */
  sizeOf(slot: number): number | undefined {
    return !this.#unknown && this.#model.logs(slot) ? this.#pages.get(slot) : undefined;
  }

  write({ slot, pages }: EventOf<'kvm_guest_write'>): void {
    const size = this.sizeOf(slot);
    if (size === undefined || this.#model.vm[1] !== 'bitmap') return;
    for (const page of this.#pagesOf(slot, pages, size)) this.#model.write(slot, page);
  }

  /** A reading: pages that had to be in it and are not; undefined where that cannot be told. */
  get({ slot, pages, errno }: EventOf<'kvm_dirty_log_get'>): readonly number[] | undefined {
    const size = this.sizeOf(slot);
    if (errno || pages === undefined || size === undefined) return undefined;
    const { must } = this.#model.expected(slot);
    const reported = this.#pagesOf(slot, pages, size);
    const taken = this.#model.take({ call: 'get_dirty_log', slot }, { errno: 0, pages: reported });
    if (must.length === 0 || !this.#pages.has(slot)) return undefined;
    return taken.disagreements.find(({ kind }) => kind === 'lost')?.pages ?? [];
  }

  clear({ slot, first, pages, set, errno }: EventOf<'kvm_dirty_log_clear'>): void {
    const size = this.sizeOf(slot);
    if (errno || size === undefined) return;
    // Without the bits that were given, all in the range may be clear now.
    const given = this.#pagesOf(slot, set ?? [[first, pages]], size);
    this.#model.take({ call: 'clear_dirty_log', slot, first, pages, set: given }, { errno: 0 });
  }

  /** Runs as pages. A slot of which runs make no sense is not followed any more. */
  #pagesOf(slot: number, runs: PageRuns, size: number): readonly number[] {
    const pages = pagesOf(runs, size);
    if (pages === undefined) this.#pages.delete(slot);
    return pages ?? [];
  }
}

/** A few pages, and how many more there are. */
export function pageList(pages: readonly number[], most = 5): string {
  const more = pages.length > most ? ` and ${pages.length - most} more` : '';
  return `${pages.length === 1 ? 'page' : 'pages'} ${pages.slice(0, most).join(', ')}${more}`;
}
