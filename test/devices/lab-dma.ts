import {
  type ArcCallbacks,
  DmaLog,
  type LoadSession,
  MigratableDevice,
  type SaveSession,
  SaveStream,
} from '../../devices/index.js';
import type { CapabilitySet } from '../../src/machines/index.js';
import { DeviceError, type IoAddressSpace, struct, type ValueOf } from '../../src/uapi/index.js';

/** Bytes of a page. */
export const PAGE = 4096;

/** Memory of any size, in pages that come into being when they are written. */
export class PagedMemory implements IoAddressSpace {
  readonly pages = new Map<number, Uint8Array>();
  /** Pages that a vCPU stored to, and pages that a device wrote, since somebody looked. */
  readonly stored = new Set<number>();
  readonly written = new Set<number>();
  /** Hears of each write of a device before it is made. */
  onWrite: (iova: number, length: number) => void = () => {};

  read(iova: number, into: Uint8Array): void {
    for (const { page, offset, at, length } of parts(iova, into.length)) {
      const bytes = this.pages.get(page);
      if (bytes) into.set(bytes.subarray(offset, offset + length), at);
      else into.fill(0, at, at + length);
    }
  }

  write(iova: number, bytes: Uint8Array): void {
    this.onWrite(iova, bytes.length);
    this.#put(iova, bytes, this.written);
  }

  /** A store of a vCPU. */
  store(address: number, bytes: Uint8Array): void {
    this.#put(address, bytes, this.stored);
  }

  #put(address: number, bytes: Uint8Array, dirty: Set<number>): void {
    for (const { page, offset, at, length } of parts(address, bytes.length)) {
      this.page(page).set(bytes.subarray(at, at + length), offset);
      dirty.add(page);
    }
  }

  page(number: number): Uint8Array {
    const page = this.pages.get(number) ?? new Uint8Array(PAGE);
    this.pages.set(number, page);
    return page;
  }
}

/** The pages of a range: where the part of each begins in the page and in the range. */
function* parts(address: number, size: number) {
  for (let at = 0; at < size; ) {
    const offset = (address + at) % PAGE;
    const length = Math.min(PAGE - offset, size - at);
    yield { page: Math.floor((address + at) / PAGE), offset, at, length };
    at += length;
  }
}

/** Numbers of the pages that are not the same in both. */
export function differingPages(a: PagedMemory, b: PagedMemory): number[] {
  const zeros = new Uint8Array(PAGE);
  return [...new Set([...a.pages.keys(), ...b.pages.keys()])].filter(
    (number) => Buffer.compare(a.pages.get(number) ?? zeros, b.pages.get(number) ?? zeros) !== 0,
  );
}

const Head = struct('lab_dma_head', { magic: 'u32', length: 'u32' });
const State = struct('lab_dma_state', { base: 'u64', next: 'u64', pages: 'u32', scratch: 'u32' });
type State = { -readonly [K in keyof ValueOf<typeof State>]: ValueOf<typeof State>[K] };
const MAGIC = 0x414d4144;
const head = () => Head.encode({ magic: MAGIC, length: State.size });
const powerOn = (): State => ({ base: 0n, next: 0n, pages: 0, scratch: 0 });

/** A frame: its number, and the number with all bits turned. */
export const Frame = struct('lab_dma_frame', { number: 'u64', check: 'u64' });

class Loader implements LoadSession {
  #bytes: Uint8Array = new Uint8Array(0);
  #refused = false;

  write(bytes: Uint8Array): undefined {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    if (this.#bytes.length < Head.size) return;
    const { magic, length } = Head.decode(this.#bytes);
    this.#refused ||= magic !== MAGIC || length !== State.size || this.#bytes.length > Head.size + State.size;
    if (this.#refused) throw new DeviceError('EINVAL', 'not the stream of such a device');
  }

  state(): State {
    if (this.#refused || this.#bytes.length !== Head.size + State.size)
      throw new DeviceError('EINVAL', 'the stream is not complete');
    return { ...State.decode(this.#bytes.subarray(Head.size)) };
  }
}

/**
 * A device that does nothing but DMA: with each tick it writes a numbered frame into the next page of a
 * ring. Its state has no checksum, so that what was changed on the way is loaded. Registers of region 0,
 * four bytes each: the ring's address, low and high; its pages; scratch.
 */
export class LabDma extends MigratableDevice {
  override readonly dmaLogging = new DmaLog();
  readonly #memory: IoAddressSpace;
  #state = powerOn();
  #save = new SaveStream();
  #load = new Loader();

  constructor(name: string, capabilities: CapabilitySet, memory: IoAddressSpace) {
    super(name, capabilities);
    this.#memory = memory;
  }

  protected override readonly arcs: ArcCallbacks = {
    'RUNNING>PRE_COPY': () => this.#startSave(head()),
    'RUNNING_P2P>PRE_COPY_P2P': () => this.#startSave(head()),
    'PRE_COPY>STOP_COPY': () => this.#save.append(State.encode(this.#state)),
    'PRE_COPY_P2P>STOP_COPY': () => this.#save.append(State.encode(this.#state)),
    'STOP>STOP_COPY': () => this.#startSave(Buffer.concat([head(), State.encode(this.#state)])),
    'STOP>RESUMING': () => {
      this.#load = new Loader();
      return this.#load;
    },
    'RESUMING>STOP': () => {
      this.#state = this.#load.state();
    },
  };

  #startSave(bytes: Uint8Array): SaveSession {
    const save = new SaveStream(bytes);
    this.#save = save;
    return { read: (into) => save.read(into), precopy: () => ({ initial: save.initial, dirty: save.later }) };
  }

  protected override onReset(): void {
    this.#state = powerOn();
  }

  protected override estimate = () => Head.size + State.size;

  /** Time goes by: a frame, when there is a ring and the device runs outside the P2P states. */
  tick(): void {
    const state = this.getState();
    const { base, pages, next } = this.#state;
    if (pages === 0 || (state !== 'RUNNING' && state !== 'PRE_COPY')) return;
    const iova = Number(base) + Number(next % BigInt(pages)) * PAGE;
    this.#memory.write(iova, Frame.encode({ number: next, check: ~next & 0xffff_ffff_ffff_ffffn }));
    this.dmaLogging.mark(BigInt(iova), BigInt(Frame.size));
    this.#state.next++;
  }

  override readRegion(_region: number, offset: number, size: number): Uint8Array {
    const { base, pages, scratch } = this.#state;
    const registers = Buffer.alloc(16);
    registers.writeBigUInt64LE(base, 0);
    registers.writeUInt32LE(pages, 8);
    registers.writeUInt32LE(scratch, 12);
    return Uint8Array.from(registers.subarray(offset, offset + size));
  }

  override writeRegion(_region: number, offset: number, bytes: Uint8Array): void {
    if (!this.isRunning) return;
    const registers = Buffer.from(this.readRegion(0, 0, 16));
    registers.set(bytes, offset);
    this.#state.base = registers.readBigUInt64LE(0);
    this.#state.pages = registers.readUInt32LE(8);
    this.#state.scratch = registers.readUInt32LE(12);
  }
}
