/**
 * The smallest migratable device: a UART in the manner of the 16550, with a receive FIFO of 16 bytes and
 * without interrupts. Copy this file to begin a device of your own; what it imports from `../` is then
 * `stopcopy/devices`. In its order, what a device needs:
 * 1. the layout of its state, and of the records that carry it: magic, version, length, checksum;
 * 2. a loader that takes the stream in any segmentation, refuses at once what is not ours, and changes
 *    nothing: the device takes its new state when all of it is there and sound;
 * 3. the device: the arcs that have something to do, reset, registers.
 * The stream is one record of the whole state for each time that it was read in PRE_COPY, if it had changed,
 * and a final record from STOP_COPY. That one alone is loaded, at the arc from RESUMING to STOP.
 */
import { crc32 } from 'node:zlib';
import { capabilitySet } from 'stopcopy/machines';
import { DeviceError, struct, type ValueOf } from 'stopcopy/uapi';
import { type ArcCallbacks, type LoadSession, MigratableDevice, type SaveSession } from '../migratable.js';
import { SaveStream } from '../save-stream.js';

/** The state of the device. Whoever adds a field raises `VERSION`. */
const UartState = struct('uart_state', { fifo: { bytes: 16 }, regs: { bytes: 10 }, count: 'u8' });
type State = { -readonly [K in keyof ValueOf<typeof UartState>]: ValueOf<typeof UartState>[K] };

/** The head of a record; the state follows. The checksum is over both, with itself as 0. */
const Head = struct('uart_record', { magic: 'u32', version: 'u16', kind: 'u16', length: 'u32', crc: 'u32' });
const MAGIC = 0x31545255; // "URT1"
const VERSION = 1;
const [PRELIMINARY, FINAL] = [1, 2] as const;
const RECORD = Head.size + UartState.size;

const checksum = (head: ValueOf<typeof Head>, body: Uint8Array): number =>
  crc32(body, crc32(Head.encode({ ...head, crc: 0 })));

function record(kind: number, state: State): Uint8Array {
  const body = UartState.encode(state);
  const head = { magic: MAGIC, version: VERSION, kind, length: body.length, crc: 0 };
  return Buffer.concat([Head.encode({ ...head, crc: checksum(head, body) }), body]);
}

const invalid = (words: string) => new DeviceError('EINVAL', `the uart's stream ${words}`);

/** Takes the stream. What it has refused stays refused until the session ends. */
class Loader implements LoadSession {
  #rest: Uint8Array = new Uint8Array(0);
  #refused: DeviceError | null = null;
  #final: State | null = null;

  write(bytes: Uint8Array): undefined {
    if (this.#refused) throw this.#refused;
    this.#rest = Buffer.concat([this.#rest, bytes]);
    while (this.#rest.length > 0 && this.#takeRecord());
  }

  /** What was loaded. @throws DeviceError when the stream was refused, or while it is not complete */
  state(): State {
    if (this.#refused) throw this.#refused;
    if (!this.#final) throw invalid(`ends before its final record, ${this.#rest.length} bytes into one`);
    return this.#final;
  }

  /** Takes a record if it is there: its head is checked as soon as that is, the rest when it is whole. */
  #takeRecord(): boolean {
    if (this.#final) this.#refuse('goes on behind its final record');
    if (this.#rest.length < Head.size) return false;
    const head = Head.decode(this.#rest);
    if (head.magic !== MAGIC) this.#refuse(`has the magic 0x${head.magic.toString(16)}`);
    if (head.version !== VERSION) this.#refuse(`has version ${head.version}, and only ${VERSION} is known`);
    if (head.kind !== PRELIMINARY && head.kind !== FINAL) this.#refuse(`has a record of kind ${head.kind}`);
    if (head.length !== UartState.size) this.#refuse(`has a state of ${head.length} bytes`);
    if (this.#rest.length < RECORD) return false;
    const body = this.#rest.subarray(Head.size, RECORD);
    if (checksum(head, body) !== head.crc) this.#refuse('has a wrong checksum');
    const state = UartState.decode(body);
    if (state.count > state.fifo.length) this.#refuse(`has ${state.count} bytes in a FIFO of 16`);
    if (head.kind === FINAL) this.#final = state;
    this.#rest = this.#rest.subarray(RECORD);
    return true;
  }

  #refuse(words: string): never {
    this.#refused = invalid(words);
    throw this.#refused;
  }
}

/** Writable bits: registers 0 to 7, then those that take the place of 0 and 1 when LCR bit 7 is set. */
const WRITABLE = [0, 0x0f, 0, 0xff, 0x1f, 0, 0, 0xff, 0xff, 0xff];
/** After power-on: 8 bits (LCR), divisor 12. */
const INITIAL = [0, 0, 0, 3, 0, 0, 0, 0, 12, 0];
const powerOn = (): State => ({ fifo: new Uint8Array(16), regs: Uint8Array.from(INITIAL), count: 0 });

/** See the comment of this file. Region 0 has the eight registers. */
export class Uart extends MigratableDevice {
  #uart = powerOn();
  /** The state has changed since it was last put into a record. */
  #dirty = false;
  #save = new SaveStream();
  #load = new Loader();
  /** Takes what the guest sends. */
  transmit: (byte: number) => void = () => {};

  constructor(name = 'uart0', capabilities = capabilitySet(['p2p', 'pre-copy'])) {
    super(name, capabilities);
  }

  /** A device without DMA has nothing to do for P2P; whether it runs is asked where it matters. */
  protected override readonly arcs: ArcCallbacks = {
    'RUNNING>PRE_COPY': () => this.#startSave(PRELIMINARY),
    'RUNNING_P2P>PRE_COPY_P2P': () => this.#startSave(PRELIMINARY),
    'PRE_COPY>STOP_COPY': () => this.#save.append(record(FINAL, this.#uart)),
    'PRE_COPY_P2P>STOP_COPY': () => this.#save.append(record(FINAL, this.#uart)),
    'STOP>STOP_COPY': () => this.#startSave(FINAL),
    'STOP>RESUMING': () => {
      this.#load = new Loader();
      return this.#load;
    },
    'RESUMING>STOP': () => {
      this.#uart = this.#load.state();
    },
  };

  #startSave(kind: number): SaveSession {
    const save = new SaveStream(record(kind, this.#uart));
    this.#save = save;
    this.#dirty = false;
    // Dirty is what has changed since it was read: as long as nothing was read, nothing is.
    const dirty = () => (save.initial === RECORD ? 0 : save.later + (this.#dirty ? RECORD : 0));
    return {
      read: (into) => {
        if (save.initial + save.later === 0 && this.#dirty && this.isRunning) {
          save.append(record(PRELIMINARY, this.#uart));
          this.#dirty = false;
        }
        return save.read(into);
      },
      precopy: () => ({ initial: save.initial, dirty: dirty() }),
    };
  }

  protected override onReset(): void {
    this.#uart = powerOn();
  }

  protected override estimate = () => RECORD;

  /** A byte has come over the line. While the device is stopped nobody takes it. */
  receive(byte: number): void {
    if (!this.isRunning) return;
    if (this.#uart.count < 16) this.#uart.fifo[this.#uart.count++] = byte;
    this.#dirty = true;
  }

  override readRegion(region: number, offset: number, size: number): Uint8Array {
    return Uint8Array.from({ length: size }, (_, at) => this.#readRegister(register(region, offset + at)));
  }

  override writeRegion(region: number, offset: number, bytes: Uint8Array): void {
    for (const [at, value] of bytes.entries()) this.#writeRegister(register(region, offset + at), value);
  }

  #readRegister(at: number): number {
    const { regs, count } = this.#uart;
    if (this.#index(at) === 0) return this.#takeByte();
    if (at === 5) return 0x60 | Math.min(count, 1);
    return { 2: 0xc1, 6: 0xb0 }[at] ?? regs[this.#index(at)]!;
  }

  /** While the device is stopped, writing changes nothing. */
  #writeRegister(at: number, value: number): void {
    if (!this.isRunning) return;
    const index = this.#index(at);
    if (index === 0 && this.#uart.regs[4]! & 0x10)
      this.receive(value); // MCR says loopback.
    else if (index === 0) this.transmit(value);
    else if (index !== 2) this.#uart.regs[index] = value & WRITABLE[index]!;
    else if (value & 2) Object.assign(this.#uart, { fifo: new Uint8Array(16), count: 0 });
    this.#dirty = true;
  }

  /** Where a register stands in `regs`. */
  #index(at: number): number {
    return at < 2 && this.#uart.regs[3]! & 0x80 ? at + 8 : at;
  }

  /** The oldest byte of the FIFO; while the device is stopped it stays there. */
  #takeByte(): number {
    const { fifo, count } = this.#uart;
    if (count === 0 || !this.isRunning) return fifo[0]!;
    this.#uart.fifo = Uint8Array.from({ length: 16 }, (_, at) => fifo[at + 1] ?? 0);
    this.#uart.count--;
    this.#dirty = true;
    return fifo[0]!;
  }
}

function register(region: number, at: number): number {
  if (region === 0 && at >= 0 && at < 8) return at;
  throw new DeviceError('EINVAL', `no register at ${at} of region ${region}`);
}
