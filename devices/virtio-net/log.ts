import type { VhostWrite } from 'stopcopy/uapi';
import type { GpaRun, MemoryTable } from './address-space.js';
import { type BufferWrite, type Conduct, clamped, type Gates, type RingPlace } from './conduct.js';

/** What somebody who watches a back end is told. */
export interface Observer {
  /**
   * The back end wrote guest memory, at a guest physical address: the one that the write has to be logged by.
   * Memory that has several is told once for each.
   */
  write?(write: { index: number; what: VhostWrite; address: number; length: number }): void;
  /** A bit was to be set behind the end of the log. */
  overrun?(page: number): void;
  /** Buffers taken and returned since the ring was started. */
  progress?(index: number, taken: number, returned: number): void;
  /** The ring cannot go on. */
  broken?(index: number, error: Error): void;
}

/** Where the writes of a ring are, and what is logged of them. */
export interface LogSetting {
  readonly gates: () => Gates;
  /** Rings and descriptors carry I/O addresses: user addresses of a run of them. */
  readonly translate: ((iova: number, length: number) => readonly GpaRun[]) | null;
  readonly table: () => MemoryTable;
  /** Addresses of the ring as SET_VRING_ADDR gives them. */
  readonly parts: () => {
    readonly desc: number;
    readonly used: number;
    readonly logGuestAddr: number;
  };
}

/** The part of the dirty log that the writes of one ring go into. */
export class RingLog {
  readonly #index: number;
  readonly #conduct: Conduct;
  readonly #observer: Observer;
  readonly #held: GpaRun[] = [];
  /** How many marks are held back. */
  readonly #cache: number;
  #log: Uint8Array | null = null;
  #old: Uint8Array | null = null;
  #oldMarks = 0;
  /** Where the last run of used elements ended, from the beginning of the used part. */
  #usedEnd = -1;
  #running: (LogSetting & { usedBytes: number }) | null = null;

  constructor(index: number, conduct: Conduct, observer: Observer, cache: number) {
    this.#index = index;
    this.#conduct = conduct;
    this.#observer = observer;
    this.#cache = cache;
  }

  get log(): Uint8Array | null {
    return this.#log;
  }

  /** The log is another one from now on. */
  replace(log: Uint8Array | null): void {
    this.settle();
    this.#old = this.#log;
    this.#oldMarks = this.#old === null ? 0 : this.#conduct.marksIntoOldLog;
    this.#log = log;
  }

  /** The ring runs. @param usedBytes offset behind the last used element */
  start(setting: LogSetting, usedBytes: number): void {
    this.#running = { ...setting, usedBytes };
    this.#usedEnd = -1;
  }

  stop(): void {
    this.settle();
    this.#running = null;
  }

  /** Makes the marks that are held back. */
  settle(): void {
    const runs = this.#held.splice(0);
    if (this.#conduct.flushesMarks) for (const run of runs) this.#mark(run);
  }

  /** The buffers of one packet were written. */
  buffers(writes: readonly BufferWrite[]): void {
    const { translate } = this.#running!;
    const told = writes.flatMap(clamped);
    const isLogged = this.#conduct.isLogged('buffer', this.#running!.gates());
    if (translate === null) {
      for (const run of told) this.#tell('buffer', run);
      if (isLogged) this.#put(this.#conduct.bufferRuns(writes));
      return;
    }
    for (const run of told) for (const gpa of this.#gpas(run)) this.#tell('buffer', gpa);
    // The kernel marks whole descriptors here, whatever was written of them.
    const whole = writes.map(({ writable }) => ({ writable, written: Number.POSITIVE_INFINITY }));
    if (isLogged) for (const run of this.#conduct.bufferRuns(whole)) this.#putIova(run);
  }

  /** Something was written into the ring: `offset` from its used part, or from its descriptors. */
  ring(what: VhostWrite, offset: number, length: number): void {
    const running = this.#running!;
    const { gates, translate, table } = running;
    const { desc, used, logGuestAddr } = running.parts();
    const own = { address: (what === 'desc' ? desc : used) + offset, length };
    const gpas = translate === null ? table().gpasOf(own.address, length) : this.#gpas(own);
    const isDirect = translate === null && what !== 'desc';
    const told = isDirect ? [{ address: logGuestAddr + offset, length }] : gpas;
    for (const run of told) this.#tell(what, run);
    const wrapped = what === 'used' && this.#usedEnd === running.usedBytes;
    if (what === 'used') this.#usedEnd = offset + length;
    else if (what === 'used_idx') this.#usedEnd = -1;
    if (!this.#conduct.isLogged(what, gates())) return;
    const place: RingPlace = translate === null ? { logGuestAddr, used, gpas } : { ...NO_PLACE, gpas };
    const runs = this.#conduct.ringRuns({ what, offset, length, wrapped }, place);
    if (translate === null) this.#put(runs);
    else if (runs.length > 0) this.#putIova(own);
  }

  #gpas({ address, length }: GpaRun): GpaRun[] {
    const { translate, table } = this.#running!;
    return translate!(address, length).flatMap((run) => table().gpasOf(run.address, run.length));
  }

  #tell(what: VhostWrite, { address, length }: GpaRun): void {
    this.#observer.write?.({ index: this.#index, what, address, length });
  }

  #putIova(run: GpaRun): void {
    this.#put(this.#conduct.aliases(this.#gpas(run), run));
  }

  #put(runs: readonly GpaRun[]): void {
    this.#held.push(...runs);
    if (this.#held.length > this.#cache) for (const run of this.#held.splice(0)) this.#mark(run);
  }

  #mark({ address, length }: GpaRun): void {
    if (length <= 0) return;
    const log = this.#oldMarks > 0 ? this.#old : this.#log;
    if (this.#oldMarks > 0) this.#oldMarks--;
    if (log === null) return;
    const start = this.#regionStart(address);
    const [first, last] = this.#conduct.pages(this.#conduct.logAddress(address, start), length);
    for (let page = first; page <= last; page++) {
      if (page >= log.length * 8) this.#observer.overrun?.(page);
      else if (this.#conduct.marksPage(page, first)) this.#conduct.setBit(log, page);
      // One is enough to say; a length that is wrong may stand for very many.
      if (page >= log.length * 8) return;
    }
  }

  #regionStart(address: number): number {
    const regions = this.#running?.table().regions ?? [];
    return regions.find(({ gpa, size }) => address >= gpa && address < gpa + size)?.gpa ?? 0;
  }
}

/** With an IOTLB, `log_guest_addr` is not looked at. */
const NO_PLACE = { logGuestAddr: 0, used: 0 } as const;
