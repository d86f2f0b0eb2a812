import { type Fault, faultRandom, WatchedMemory } from '../../devices/faults/index.js';
import type { CapabilitySet } from '../../src/machines/index.js';
import { recorded } from '../../src/target/index.js';
import { type TraceEvent, traceEventSchema } from '../../src/trace/index.js';
import type { DataFd, Device } from '../../src/uapi/index.js';
import { MIGRATION_FLAGS, type MigState } from '../../src/uapi/vfio.js';
import { drain, refusal, stateOf } from './lab.js';
import { differingPages, PAGE, PagedMemory } from './lab-dma.js';
import { type Guest, type Model, RING, type Subject } from './lab-guest.js';

/** What a scenario is run with. */
export interface Setting {
  readonly subject: Subject;
  readonly capabilities: CapabilitySet;
  readonly fault: Fault | null;
  readonly seed: number;
}

type Status = Extract<TraceEvent, { kind: 'migration_status' }>['status'];
type Body = { kind: TraceEvent['kind'] } & Record<string, unknown>;

/** Bytes of the first reads of a stream and of its writes: so few that each stream needs several. */
const PIECE = 16;
const FIRST_READS = 8;
/** Ticks in which hardware that was told to be still is watched. */
const STILL = 3;

/** A host with its memory, its device (with the fault, and recorded), and what happens there. */
export class Side {
  readonly memory = new PagedMemory();
  readonly device: Device;
  readonly model: Model;
  readonly #dma: Subject['dma'];
  readonly #events: TraceEvent[];
  /** What the VMM believes. */
  #state: MigState = 'RUNNING';
  #told: MigState | null = null;
  /** The VM is here and runs. */
  guest: Guest | null = null;

  constructor(
    readonly host: string,
    { subject, capabilities, fault, seed }: Setting,
    events: TraceEvent[],
  ) {
    this.#events = events;
    const memory = new WatchedMemory(this.memory);
    this.#dma = subject.dma;
    this.model = subject.make('vf0', capabilities, memory, this.memory);
    const faulty = fault?.apply(this.model.device, { random: faultRandom(seed), memory });
    this.device = recorded(faulty ?? this.model.device, { host, emit: (event) => this.#push(event) });
    this.memory.onWrite = (iova, length) => {
      const runs = this.#state === 'RUNNING' || this.#state === 'PRE_COPY';
      if (runs && this.#told === this.#state) return;
      this.#told = this.#state;
      this.tell({ kind: 'dma_write', device: 'vf0', iova, length });
    };
  }

  #push(event: TraceEvent): void {
    this.#events.push(traceEventSchema.parse(event));
  }

  tell(body: Body): void {
    this.#push({ host: this.host, ...body } as TraceEvent);
  }

  status(...statuses: Status[]): void {
    for (const status of statuses) this.tell({ kind: 'migration_status', status });
  }

  async set(state: MigState): Promise<DataFd | null> {
    let fd: DataFd | null = null;
    const error = await refusal(async () => {
      fd = await this.device.setState(state);
    });
    this.#state = error ? await this.model.device.getState() : state;
    if (error) throw error;
    return fd;
  }

  /** To a stopped state by way of P2P where there is one; the guest does something on the way. */
  async stop(to: MigState = 'STOP'): Promise<DataFd | null> {
    if (this.hasP2p) {
      await this.set(this.#state === 'PRE_COPY' ? 'PRE_COPY_P2P' : 'RUNNING_P2P');
      await this.guest?.touch(this.device, this.model);
      this.#stayStill();
    }
    this.guest = null;
    const fd = await this.set(to);
    this.#stayStill();
    return fd;
  }

  /** Time goes by for a device that is not to do anything. */
  #stayStill(): void {
    for (let tick = 0; tick < STILL; tick++) this.model.tick();
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
      this.model.tick();
      if (tick % (RING.pages / 2) === 0 || tick === ticks) this.guest?.poll(this.memory, this.model);
    }
  }

  async check(): Promise<void> {
    const what = await this.guest!.check(this.device, this.model, this.memory);
    this.tell({
      kind: 'guest_check',
      device: 'vf0',
      works: what === null,
      ...(what === null ? {} : { what }),
    });
    this.traffic(5);
    const { books } = this.guest!;
    if (books) this.tell({ kind: 'guest_books', device: 'vf0', ...books });
  }

  /** Pages that were written since they were asked for last: by vCPUs as KVM knows it, by the device as its log or the IOMMU does. */
  async dirty(): Promise<number[]> {
    const { stored, written } = this.memory;
    const logging = this.device.dmaLogging;
    const pages = [...stored, ...(logging === null ? written : [])];
    stored.clear();
    written.clear();
    if (logging === null) return pages;
    const report = await logging.report({ ...this.#dma, pageSize: BigInt(PAGE) });
    return [...pages, ...[...report].map((index) => Number(report.addressOf(index)) / PAGE)];
  }

  async startLog(): Promise<void> {
    await this.device.dmaLogging?.start({ pageSize: BigInt(PAGE), ranges: [this.#dma] });
  }

  async stopLog(): Promise<void> {
    await this.device.dmaLogging?.stop();
  }

  /** The device's state, from the model and past all that is recorded; the model is left as it was. */
  async image(): Promise<Uint8Array | string> {
    const { device } = this.model;
    const state = await device.getState();
    let image: Uint8Array = new Uint8Array(0);
    const error = await refusal(async () => {
      image = await stateOf(device);
      await device.setState(state);
    });
    return error?.message ?? image;
  }
}

export function copyPages(from: Side, to: Side, numbers: Iterable<number>): void {
  for (const number of numbers) to.memory.page(number).set(from.memory.page(number));
}

/** All there is for now: a few bytes at a time, and what is left at once. */
export async function take(from: DataFd): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let reads = 0; reads < FIRST_READS; reads++) {
    const piece = new Uint8Array(PIECE);
    let size = 0;
    const error = await refusal(async () => {
      size = await from.read(piece);
    });
    if (error && error.code !== 'ENOMSG') throw error;
    if (size === 0) return Buffer.concat(parts);
    parts.push(piece.subarray(0, size));
  }
  return Buffer.concat([...parts, await drain(from, 65536)]);
}

/** Moves all there is for now from one fd to the other. */
export async function send(from: DataFd, to: DataFd): Promise<void> {
  await write(to, await take(from));
}

export async function write(to: DataFd, bytes: Uint8Array): Promise<void> {
  const step = (at: number) => (at < FIRST_READS * PIECE ? PIECE : 65536);
  for (let at = 0; at < bytes.length; ) at += await to.write(bytes.subarray(at, at + step(at)));
}

/** Compares both sides and says so on the destination, where the VM is about to work. */
export async function compare(from: Side, to: Side): Promise<void> {
  const pages = differingPages(from.memory, to.memory).length;
  to.tell({ kind: 'memory_compare', equal: pages === 0, pages });
  if (from.model.digest !== undefined) {
    const [here, there] = [from.model.digest(), to.model.digest!()];
    if (here !== null) to.tell({ kind: 'state_compare', device: 'vf0', equal: here === there });
    return;
  }
  const [here, there] = [await from.image(), await to.image()];
  const failed = [here, there].find((image) => typeof image === 'string');
  const equal = failed === undefined && Buffer.compare(here as Uint8Array, there as Uint8Array) === 0;
  to.tell({
    kind: 'state_compare',
    device: 'vf0',
    equal,
    ...(typeof failed === 'string' ? { what: failed } : {}),
  });
}

/**
 * A whole migration.
 * @param options.preCopy whether the device's PRE_COPY is used, if it has one
 * @param options.lastly called before the VM stops
 */
export async function migrate(
  from: Side,
  to: Side,
  { preCopy = true, lastly = () => {} }: { preCopy?: boolean; lastly?: () => void } = {},
): Promise<DataFd> {
  const guest = from.guest!;
  from.status('setup');
  from.tell({ kind: 'source_setup' });
  to.status('setup');
  to.tell({ kind: 'destination_setup' });
  await from.startLog();
  copyPages(from, to, from.memory.pages.keys());
  for (const number of to.memory.pages.keys())
    if (!from.memory.pages.has(number)) to.memory.pages.delete(number);
  const into = (await to.set('RESUMING'))!;
  from.status('active');
  to.status('active');

  let out: DataFd | null = null;
  if (preCopy && from.hasPreCopy) {
    out = (await from.set('PRE_COPY'))!;
    await out.precopyInfo();
    await send(out, into);
    await out.precopyInfo();
  }
  from.traffic(RING.pages + 3);
  copyPages(from, to, await from.dirty());
  from.traffic(RING.pages + 6);
  lastly();
  if (out === null) {
    await from.stop();
    copyPages(from, to, await from.dirty());
    out = (await from.set('STOP_COPY'))!;
  } else {
    await from.stop('STOP_COPY');
    copyPages(from, to, await from.dirty());
    await refusal(() => out!.precopyInfo());
  }
  from.status('device');
  await send(out, into);
  await from.set('STOP');
  await from.stopLog();
  await out.close();
  await to.set('STOP');
  await from.model.handOver?.(to.model);
  await to.run(guest);
  await compare(from, to);
  from.status('completed');
  to.status('completed');
  await to.check();
  return into;
}
