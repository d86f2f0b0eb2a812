import type { VmStateDescription, VmStateEntry } from '../vmstate/index.js';
import type { GuestMemory } from './machine.js';

/** How much the guest writes, and where. */
export interface WorkloadOptions {
  /** Pages of RAM that are written per second. */
  readonly pagesPerSecond: number;
  /** Address of the first page, and how many there are. */
  readonly start: number;
  readonly pages: number;
  readonly seed: number;
}

const PAGE = 4096;
/** What a store leaves: its number and its address, so that a lost page can be told. */
const RECORD = 16;
/** Guest time that a late slice makes up for at most; the rest is counted as slow-down. */
const LATEST = 20;

/** The vCPU state that belongs to the workload: it crosses as a section of its own, the rest is in RAM. */
const CPU_STATE: VmStateDescription = {
  name: 'cpu',
  version: 1,
  minimumVersion: 1,
  fields: [
    { name: 'stores', type: 'u64' },
    { name: 'last', type: 'u64' },
    { name: 'random', type: 'u32' },
  ],
};

/**
 * A guest program that dirties memory: at a set rate it stores a running number and the address into pages of
 * its working set, chosen by a seeded generator. What its registers say of the last store must stand in RAM;
 * where it does not, a page was lost.
 */
export class Workload {
  /** The vCPU's registers, by the names of the description. */
  readonly registers: { stores: bigint; last: bigint; random: number };
  /** Milliseconds of guest time that were asked for and given. */
  asked = 0;
  given = 0;
  readonly #memory: GuestMemory;
  readonly #options: WorkloadOptions;
  readonly #record = new Uint8Array(RECORD);
  readonly #view = new DataView(this.#record.buffer);
  #owed = 0;

  constructor(memory: GuestMemory, options: WorkloadOptions) {
    this.#memory = memory;
    this.#options = options;
    this.registers = { stores: 0n, last: 0n, random: options.seed >>> 0 || 1 };
  }

  get state(): VmStateEntry {
    return { idstr: 'cpu', instance: 0, description: CPU_STATE, target: this.registers };
  }

  /**
   * Runs for so many milliseconds of guest time.
   * @param absent post-copy: whether the page is still to come; then the store waits for a later slice
   * @returns the page that is waited for, or null
   */
  run(milliseconds: number, absent?: (page: number) => boolean): number | null {
    this.asked += milliseconds;
    const given = Math.min(milliseconds, LATEST);
    this.given += given;
    this.#owed += (given * this.#options.pagesPerSecond) / 1000;
    for (; this.#owed >= 1 && this.#options.pages > 0; this.#owed--) {
      const random = next(this.registers.random);
      const address = this.#options.start + (random % this.#options.pages) * PAGE + ((random >>> 20) & 0xff0);
      const page = Math.floor(address / PAGE);
      if (absent?.(page)) return page;
      this.registers.random = random;
      this.#store(address);
    }
    return null;
  }

  #store(address: number): void {
    const { registers } = this;
    registers.stores++;
    registers.last = BigInt(address);
    this.#view.setBigUint64(0, registers.stores, true);
    this.#view.setBigUint64(8, registers.last, true);
    this.#memory.write(address, this.#record);
  }

  /** Where RAM does not agree with the registers, in words; null when it does. */
  complaint(): string | null {
    const { stores, last } = this.registers;
    if (stores === 0n) return null;
    this.#memory.read(Number(last), this.#record);
    const [number, address] = [this.#view.getBigUint64(0, true), this.#view.getBigUint64(8, true)];
    if (number === stores && address === last) return null;
    return `store ${stores} went to 0x${last.toString(16)}, where store ${number} stands now`;
  }
}

/** xorshift32. */
function next(random: number): number {
  let x = random ^ (random << 13);
  x ^= x >>> 17;
  x ^= x << 5;
  return x >>> 0;
}
