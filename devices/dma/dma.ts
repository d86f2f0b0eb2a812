import { type CapabilitySet, capabilitySet } from 'stopcopy/machines';
import {
  DeviceError,
  DMA_LOGGING_MIN_PAGE_SIZE,
  type IoAddressSpace,
  struct,
  type ValueOf,
} from 'stopcopy/uapi';
import { DmaLog } from '../dma-log.js';
import { type ArcCallbacks, type LoadSession, MigratableDevice, type SaveSession } from '../migratable.js';
import { SaveStream } from '../save-stream.js';

/** Bytes of a page of the ring. */
const PAGE = DMA_LOGGING_MIN_PAGE_SIZE;
/** Bytes of the registers. */
const REGISTERS = 16;

const Head = struct('dma_head', { magic: 'u32', length: 'u32' });
const State = struct('dma_state', { base: 'u64', next: 'u64', pages: 'u32', scratch: 'u32' });
type State = { -readonly [K in keyof ValueOf<typeof State>]: ValueOf<typeof State>[K] };
const MAGIC = 0x414d4144;
const head = () => Head.encode({ magic: MAGIC, length: State.size });
const powerOn = (): State => ({ base: 0n, next: 0n, pages: 0, scratch: 0 });

/** A frame: its number, and the number with all bits turned. */
export const Frame = struct('dma_frame', { number: 'u64', check: 'u64' });

class Loader implements LoadSession {
  #bytes: Uint8Array = new Uint8Array(0);
  #refused = false;

  write(bytes: Uint8Array): undefined {
    this.#refused ||= this.#bytes.length + bytes.length > Head.size + State.size;
    if (!this.#refused) this.#bytes = Buffer.concat([this.#bytes, bytes]);
    if (!this.#refused && this.#bytes.length >= Head.size) {
      const { magic, length } = Head.decode(this.#bytes);
      this.#refused = magic !== MAGIC || length !== State.size;
    }
    if (this.#refused) throw new DeviceError('EINVAL', 'not the stream of such a device');
  }

  state(): State {
    if (this.#refused || this.#bytes.length !== Head.size + State.size)
      throw new DeviceError('EINVAL', 'the stream is not complete');
    return { ...State.decode(this.#bytes.subarray(Head.size)) };
  }
}

/**
 * The smallest device that writes guest memory. It does nothing but DMA: with each tick it writes a numbered frame into the next page of a
 * ring. Its state has no checksum, so that what was changed on the way is loaded. Registers of region 0,
 * four bytes each: the ring's address, low and high; its pages; scratch.
 */
export class DmaDevice extends MigratableDevice {
  override readonly dmaLogging = new DmaLog();
  readonly #memory: IoAddressSpace;
  #state = powerOn();
  #save = new SaveStream();
  #load = new Loader();

  constructor(name: string, capabilities: CapabilitySet | undefined, memory: IoAddressSpace) {
    super(name, capabilities ?? capabilitySet(['p2p', 'pre-copy']));
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
    if (!this.#write(iova, Frame.encode({ number: next, check: ~next & 0xffff_ffff_ffff_ffffn }))) return;
    this.dmaLogging.mark(BigInt(iova), BigInt(Frame.size));
    this.#state.next++;
  }

  /** Whether the frame arrived: a ring at a place that nobody has mapped stays empty. */
  #write(iova: number, frame: Uint8Array): boolean {
    try {
      this.#memory.write(iova, frame);
      return true;
    } catch (error) {
      if (error instanceof DeviceError) return false;
      throw error;
    }
  }

  override readRegion(region: number, offset: number, size: number): Uint8Array {
    checkPlace(region, offset, size);
    const { base, pages, scratch } = this.#state;
    const registers = Buffer.alloc(REGISTERS);
    registers.writeBigUInt64LE(base, 0);
    registers.writeUInt32LE(pages, 8);
    registers.writeUInt32LE(scratch, 12);
    return Uint8Array.from(registers.subarray(offset, offset + size));
  }

  override writeRegion(region: number, offset: number, bytes: Uint8Array): void {
    checkPlace(region, offset, bytes.length);
    if (!this.isRunning) return;
    const registers = Buffer.from(this.readRegion(0, 0, REGISTERS));
    registers.set(bytes, offset);
    this.#state.base = registers.readBigUInt64LE(0);
    this.#state.pages = registers.readUInt32LE(8);
    this.#state.scratch = registers.readUInt32LE(12);
  }
}

function checkPlace(region: number, offset: number, size: number): void {
  if (region !== 0 || offset < 0 || offset + size > REGISTERS)
    throw new DeviceError('EINVAL', `no registers at ${offset} of region ${region}`);
}
