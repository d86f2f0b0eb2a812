import { VHOST_LOG_PAGE, type VhostWrite } from '../uapi/vhost-log.js';
import { type Address, pageOf } from './vhost-log-device.js';

/** Most pages that are remembered for one device, and of one write: what is beyond is not judged. */
export const MAX_PAGES = 1 << 20;
const MAX_WRITE_PAGES = 1 << 16;
/** Most writers of one page that are told apart. */
const MAX_WRITERS = 8;

export type PageRuns = readonly (readonly [first: number, count: number])[];

/** A write whose bits are waited for. */
export interface Write {
  readonly what: VhostWrite;
  readonly index: number | undefined;
  readonly address: Address;
  readonly length: number;
  readonly first: number;
  readonly last: number;
  /** Number of the write, over all of the device. */
  readonly serial: number;
  /** How often the log had been replaced. */
  readonly epoch: number;
  /** The two switches when it was made. */
  readonly logAll: boolean | undefined;
  readonly flag: boolean | undefined;
  /** Why nothing can be expected of the back end: there was no log, or a switch was off. */
  readonly unlogged: 'no_log' | 'ungated' | undefined;
  /** Used elements that go on at the beginning of the ring. */
  readonly wrapped: boolean;
  /** The same bytes at another guest physical address. */
  twin: Write | undefined;
  /** A page of it was in a reading. */
  found: boolean;
}

/** Whether two writes may be of the same bytes, seen at two addresses of an IOTLB. */
export function areTwins(a: Write, b: Write): boolean {
  return (
    a.what === b.what &&
    a.index === b.index &&
    a.length === b.length &&
    a.first !== b.first &&
    inPage(a) === inPage(b)
  );
}

const inPage = ({ address }: Write): number =>
  typeof address === 'number' ? address % VHOST_LOG_PAGE : Number(BigInt(address) % BigInt(VHOST_LOG_PAGE));

const isAlike = (a: Write, b: Write): boolean =>
  a.what === b.what && a.index === b.index && a.epoch === b.epoch && a.unlogged === b.unlogged;

/** First and last page of a write. */
export function pagesOf(address: Address, length: number): { first: number; last: number } {
  return { first: pageOf(address), last: pageOf(address, length - 1) };
}

/** Pages that were written and in no reading since, each with who wrote it. */
export class WaitingPages {
  readonly #pages = new Map<number, Write[]>();

  get size(): number {
    return this.#pages.size;
  }

  clear(): void {
    if (this.#pages.size > 0) this.#pages.clear();
  }

  add(write: Write): void {
    const last = Math.min(write.last, write.first + MAX_WRITE_PAGES - 1);
    for (let page = write.first; page <= last; page++) this.#addPage(page, write);
  }

  #addPage(page: number, write: Write): void {
    const known = this.#pages.get(page);
    if (known === undefined) {
      if (this.#pages.size < MAX_PAGES) this.#pages.set(page, [write]);
      return;
    }
    if (known.length >= MAX_WRITERS) return;
    for (const other of known) if (isAlike(other, write)) return;
    known.push(write);
  }

  /** Takes out the pages that a reading has. */
  harvest(runs: PageRuns, found: (write: Write) => void): void {
    if (this.#pages.size === 0) return;
    let total = 0;
    for (const [, count] of runs) total += count;
    if (total <= 2 * this.#pages.size + 64) {
      for (const [first, count] of runs)
        for (let page = first; page < first + count; page++) this.#take(page, found);
      return;
    }
    const has = inRuns(runs);
    for (const page of this.#pages.keys()) if (has(page)) this.#take(page, found);
  }

  #take(page: number, found: (write: Write) => void): void {
    const writes = this.#pages.get(page);
    if (writes === undefined) return;
    this.#pages.delete(page);
    for (const write of writes) found(write);
  }

  /** What is left, in the order of pages. */
  *[Symbol.iterator](): Generator<[page: number, write: Write]> {
    for (const [page, writes] of [...this.#pages].sort(([a], [b]) => a - b))
      for (const write of writes) yield [page, write];
  }
}

/** A test for being in one of the runs, which may overlap. */
export function inRuns(runs: PageRuns): (page: number) => boolean {
  const starts: number[] = [];
  const ends: number[] = [];
  for (const [first, count] of [...runs].sort(([a], [b]) => a - b)) {
    const top = ends.length - 1;
    if (top >= 0 && first <= ends[top]!) ends[top] = Math.max(ends[top]!, first + count);
    else {
      starts.push(first);
      ends.push(first + count);
    }
  }
  return (page) => {
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (starts[middle]! <= page) low = middle + 1;
      else high = middle;
    }
    return low > 0 && page < ends[low - 1]!;
  };
}
