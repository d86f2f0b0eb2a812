import type { Device } from 'stopcopy/uapi';
import { Frame } from '../dma/dma.js';
import type { Books, Guest } from './guest.js';
import type { LabMachine } from './machine.js';
import { PAGE, type PagedMemory } from './paged-memory.js';
import { holds } from './registers.js';

/** The ring lies above 4 GiB, so that its address needs both halves. */
export const RING = { iova: 0x1_0004_0000, pages: 16 };

/** The same as a range. */
export const RING_RANGE = { iova: BigInt(RING.iova), length: BigInt(RING.pages * PAGE) };

/** Gives the device a ring, and takes the frames. */
export class DmaGuest implements Guest {
  readonly books: Books = { lost: 0, duplicated: 0, reordered: 0, corrupted: 0, mailboxMisanswered: 0 };
  #expected = 0n;
  readonly #seen = new Map<number, bigint>();
  #scratch = 7;

  async setUp(device: Device): Promise<void> {
    const registers = Buffer.alloc(12);
    registers.writeBigUInt64LE(BigInt(RING.iova), 0);
    registers.writeUInt32LE(RING.pages, 8);
    await device.writeRegion(0, 0, registers);
    await this.touch(device);
  }

  async touch(device: Device): Promise<void> {
    this.#scratch++;
    await device.writeRegion(0, 12, this.#word());
  }

  #word(): Uint8Array {
    return Uint8Array.of(this.#scratch, 1, 2, 3);
  }

  async check(device: Device, machine: LabMachine, memory: PagedMemory): Promise<string | null> {
    const kept = await device.readRegion(0, 12, 4);
    if (Buffer.compare(kept, this.#word()) !== 0) return 'the scratch register has changed';
    this.#scratch++;
    if (!(await holds(device, 12, this.#word()))) return 'registers cannot be written';
    const before = this.#expected;
    machine.tick();
    this.poll(memory);
    return this.#expected > before ? null : 'no frame comes';
  }

  /** Looks for pages of the ring that have changed, in the order of the frames in them. */
  poll(memory: PagedMemory): void {
    const fresh: bigint[] = [];
    for (let slot = 0; slot < RING.pages; slot++) {
      const bytes = new Uint8Array(Frame.size);
      memory.read(RING.iova + slot * PAGE, bytes);
      const { number, check } = Frame.decode(bytes);
      if (check === 0n || this.#seen.get(slot) === number) continue;
      this.#seen.set(slot, number);
      if (check === (~number & 0xffff_ffff_ffff_ffffn)) fresh.push(number);
      else this.books.corrupted++;
    }
    for (const number of fresh.sort((a, b) => (a < b ? -1 : 1))) this.#take(number);
  }

  #take(number: bigint): void {
    if (number < this.#expected) {
      this.books.duplicated++;
      return;
    }
    this.books.lost += Number(number - this.#expected);
    this.#expected = number + 1n;
  }
}
