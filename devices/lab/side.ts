import { recorded } from 'stopcopy/target';
import type { TraceEvent } from 'stopcopy/trace';
import {
  type BitmapRange,
  type DataFd,
  type Device,
  MIGRATION_FLAGS,
  type MigState,
  refusalOf,
} from 'stopcopy/uapi';
import { faultRandom, WatchedMemory } from '../faults/index.js';
import { RING } from './dma-guest.js';
import type { Guest } from './guest.js';
import { LabMachine } from './machine.js';
import { PAGE, PagedMemory } from './paged-memory.js';
import type { Subject } from './subject.js';
import { drain } from './transfer.js';

export type Emit = (event: TraceEvent) => void;

type Status = Extract<TraceEvent, { kind: 'migration_status' }>['status'];
type Body = { kind: TraceEvent['kind'] } & Record<string, unknown>;

/** Ticks in which hardware that was told to be still is watched. */
const STILL = 3;
/** Ticks of traffic after which the guest takes what has come: before a ring is full. */
const POLL_EVERY = RING.pages / 2;
/** Bytes of guest memory in one report. */
const REPORT = BigInt(RING.pages * PAGE);
/** Name of the device on both hosts. */
const DEVICE = 'vf0';

/** A device's state in letters; null where none can be had, for instance because it was refused. */
interface Image {
  readonly state: string | null;
  readonly refused?: string;
}

/** A host with its memory, its device (with the fault, and recorded), and what happens there. */
export class Side {
  readonly memory = new PagedMemory();
  readonly machine: LabMachine;
  readonly device: Device;
  readonly #subject: Subject;
  readonly #emit: Emit;
  /** What the VMM believes. */
  #state: MigState = 'RUNNING';
  #told: MigState | null = null;
  /** The VM is here and runs. */
  guest: Guest | null = null;

  constructor(
    readonly host: string,
    subject: Subject,
    emit: Emit,
  ) {
    this.#subject = subject;
    this.#emit = emit;
    const memory = new WatchedMemory(this.memory);
    this.machine = new LabMachine(DEVICE, subject.factory, memory, this.memory, subject.driverRam);
    const { device } = this.machine;
    const faulty = subject.fault?.apply(device, { random: faultRandom(subject.seed), memory });
    this.device = recorded(faulty ?? device, { host, emit });
    this.memory.onWrite = (iova, length) => {
      const operates = this.#state === 'RUNNING' || this.#state === 'PRE_COPY';
      if (operates && this.#told === this.#state) return;
      this.#told = this.#state;
      this.tell({ kind: 'dma_write', device: DEVICE, iova, length });
    };
  }

  tell(body: Body): void {
    this.#emit({ host: this.host, ...body } as TraceEvent);
  }

  status(...statuses: Status[]): void {
    for (const status of statuses) this.tell({ kind: 'migration_status', status });
  }

  /** Says whether the device, or its memory, is as it should be. */
  found(equal: boolean, what?: string): void {
    this.tell({ kind: 'state_compare', device: DEVICE, equal, ...(what === undefined ? {} : { what }) });
  }

  async set(state: MigState): Promise<DataFd | null> {
    let fd: DataFd | null = null;
    const error = await refusalOf(async () => {
      fd = await this.device.setState(state);
    });
    this.#state = error ? await this.machine.device.getState() : state;
    if (error) throw error;
    return fd;
  }

  /** To a stopped state by way of P2P where there is one; the guest does something on the way. */
  async stop(to: MigState = 'STOP'): Promise<DataFd | null> {
    if (this.hasP2p) {
      await this.set(this.#state === 'PRE_COPY' ? 'PRE_COPY_P2P' : 'RUNNING_P2P');
      await this.guest?.touch(this.device, this.machine);
      this.#stayStill();
    }
    this.guest = null;
    const fd = await this.set(to);
    this.#stayStill();
    return fd;
  }

  /** Time goes by for a device that is not to do anything. */
  #stayStill(): void {
    for (let tick = 0; tick < STILL; tick++) this.machine.tick();
  }

  /** The VM starts, with its guest. */
  async run(guest: Guest): Promise<void> {
    if (this.hasP2p) await this.set('RUNNING_P2P');
    await this.set('RUNNING');
    this.guest = guest;
  }

  get hasP2p(): boolean {
    return (this.device.flags & MIGRATION_FLAGS.P2P) !== 0;
  }

  get hasPreCopy(): boolean {
    return (this.device.flags & MIGRATION_FLAGS.PRE_COPY) !== 0;
  }

  /** Time goes by for a guest that takes what comes, before the ring is full. */
  traffic(ticks: number): void {
    for (let tick = 1; tick <= ticks; tick++) {
      this.machine.tick();
      if (tick % POLL_EVERY === 0 || tick === ticks) this.guest?.poll(this.memory, this.machine);
    }
  }

  async check(): Promise<void> {
    const what = await this.guest!.check(this.device, this.machine, this.memory);
    this.tell({
      kind: 'guest_check',
      device: DEVICE,
      works: what === null,
      ...(what === null ? {} : { what }),
    });
    this.traffic(5);
    const { books } = this.guest!;
    if (books) this.tell({ kind: 'guest_books', device: DEVICE, ...books });
  }

  /** Pages that were written since they were asked for last: by vCPUs as KVM knows it, by the device as its log or the IOMMU does. */
  async dirty(): Promise<number[]> {
    const { stored, written } = this.memory;
    const logging = this.device.dmaLogging;
    const pages = [...stored, ...(logging === null ? written : [])];
    stored.clear();
    written.clear();
    if (logging === null) return pages;
    for (const range of this.#reportRanges()) {
      const report = await logging.report(range);
      for (const index of report) pages.push(Number(report.addressOf(index)) / PAGE);
    }
    return pages;
  }

  /** What the VMM asks the log for, a piece at a time. */
  *#reportRanges(): Iterable<BitmapRange> {
    const { iova, length } = this.#subject.dma;
    for (let at = 0n; at < length; at += REPORT) {
      const rest = length - at;
      yield { iova: iova + at, length: rest < REPORT ? rest : REPORT, pageSize: BigInt(PAGE) };
    }
  }

  async startLog(): Promise<void> {
    await this.device.dmaLogging?.start({ pageSize: BigInt(PAGE), ranges: [this.#subject.dma] });
  }

  async stopLog(): Promise<void> {
    await this.device.dmaLogging?.stop();
  }

  /** The device's state, past all that is recorded and past the fault; the device is left as it was. */
  async image(): Promise<Image> {
    if (this.#subject.comparedBy === 'digest') return { state: this.machine.machine.digest() };
    const { device } = this.machine;
    let bytes: Uint8Array = new Uint8Array(0);
    const error = await refusalOf(async () => {
      const state = await device.getState();
      const fd = (await device.setState('STOP_COPY'))!;
      bytes = await drain(fd);
      await fd.close();
      await device.setState(state);
    });
    return error ? { state: null, refused: error.message } : { state: Buffer.from(bytes).toString('hex') };
  }
}
