import { Uart } from '../../devices/index.js';
import type { CapabilitySet } from '../../src/machines/index.js';
import type { Device, IoAddressSpace } from '../../src/uapi/index.js';
import { Frame, LabDma, PAGE, type PagedMemory } from './lab-dma.js';

/** A model of a device, and the time that goes by for it. */
export interface Model {
  readonly device: Device;
  tick(): void;
  /** A digest of its whole state, or null where none can be had; without it the state is what the device saves. */
  digest?(): string | null;
  /** Gives what crosses beside the device's state to the model on the other side. */
  handOver?(to: Model): Promise<void>;
}

/** What the guest's driver counts. */
export interface Books {
  lost: number;
  duplicated: number;
  reordered: number;
  corrupted: number;
  mailboxMisanswered: number;
}

/** The guest's driver of a device; what it knows moves with the VM. */
export interface Guest {
  /** Sets up a device after power-on. */
  setUp(device: Device, model: Model): Promise<void>;
  /** Does something with the device while it may start no DMA. */
  touch(device: Device, model: Model): Promise<void>;
  /** Tries what the device is for; says what does not work, or null. */
  check(device: Device, model: Model, memory: PagedMemory): Promise<string | null>;
  /** Takes what has come. */
  poll(memory: PagedMemory, model: Model): void;
  readonly books: Books | null;
}

export interface Subject {
  readonly name: string;
  /** Guest memory that the device may reach by DMA, and its log covers. */
  readonly dma: { readonly iova: bigint; readonly length: bigint };
  /** @param memory guest memory by DMA; `ram` is the same as the guest reaches it */
  make(name: string, capabilities: CapabilitySet, memory: IoAddressSpace, ram: PagedMemory): Model;
  newGuest(): Guest;
}

/** What was written to a register is there. */
async function holds(device: Device, at: number, value: Uint8Array): Promise<boolean> {
  await device.writeRegion(0, at, value);
  return Buffer.compare(await device.readRegion(0, at, value.length), value) === 0;
}

class UartGuest implements Guest {
  readonly books = null;
  #value = 0x11;

  async setUp(device: Device): Promise<void> {
    await device.writeRegion(0, 3, Uint8Array.of(3));
    await this.touch(device);
  }

  async touch(device: Device): Promise<void> {
    this.#value = (this.#value + 0x2b) & 0xff;
    await device.writeRegion(0, 7, Uint8Array.of(this.#value));
  }

  async check(device: Device): Promise<string | null> {
    const [kept] = await device.readRegion(0, 7, 1);
    if (kept !== this.#value) return `the scratch register is ${kept}, and was ${this.#value}`;
    this.#value = (this.#value + 1) & 0xff;
    return (await holds(device, 7, Uint8Array.of(this.#value))) ? null : 'registers cannot be written';
  }

  poll(): void {}
}

/** The ring lies above 4 GiB, so that its address needs both halves. */
export const RING = { iova: 0x1_0004_0000, pages: 16 };

class DmaGuest implements Guest {
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

  async check(device: Device, model: Model, memory: PagedMemory): Promise<string | null> {
    const kept = await device.readRegion(0, 12, 4);
    if (Buffer.compare(kept, this.#word()) !== 0) return 'the scratch register has changed';
    this.#scratch++;
    if (!(await holds(device, 12, this.#word()))) return 'registers cannot be written';
    const before = this.#expected;
    model.tick();
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

const RING_RANGE = { iova: BigInt(RING.iova), length: BigInt(RING.pages * PAGE) };

export const UART: Subject = {
  name: 'uart',
  dma: RING_RANGE,
  make: (name, capabilities) => ({ device: new Uart(name, capabilities), tick: () => {} }),
  newGuest: () => new UartGuest(),
};

export const DMA: Subject = {
  name: 'dma',
  dma: RING_RANGE,
  make: (name, capabilities, memory) => {
    const device = new LabDma(name, capabilities, memory);
    return { device, tick: () => device.tick() };
  },
  newGuest: () => new DmaGuest(),
};
