import { isRunning } from '../machines/vfio-arcs.js';
import { bounded, HangError, inTime } from '../target/bounded.js';
import { recorded } from '../target/recorded.js';
import { type Target, TargetError } from '../target/target.js';
import type { TraceEvent } from '../trace/event.js';
import { type DataFd, type Device, DeviceError, refusalOf } from '../uapi/device.js';
import type { MigState } from '../uapi/vfio.js';

/** The host of all events of a run. */
export const HOST = 'stopcopy-test';

/** Longest time of one call, in milliseconds, and most bytes read from one stream, where nobody says others. */
export const DEFAULT_TIMEOUT = 30_000;
export const DEFAULT_MAX_BYTES = 64 << 20;

/** DMA writes that are told between two changes of state, where none is allowed. */
const MOST_WRITES = 16;

export interface BenchOptions {
  /** Longest time of one call, in milliseconds. */
  readonly timeout: number;
  /** Hears of each event of the run, in order. */
  emit?(event: TraceEvent): void;
}

/**
 * The target's device with all that a case needs of it: it is recorded, a trace a case; its calls are
 * bounded; its data_fds are kept by their numbers; and it finds the way home to RUNNING.
 */
export class Bench {
  /** Events since `begin`; `line` of each is its number from 1. */
  events: TraceEvent[] = [];
  readonly fds: (DataFd | null)[] = [];
  resets = 0;
  /** Whether something was asked of the device since it was at home. */
  touched = false;
  device!: Device;
  #raw!: Device;
  #state: MigState = 'RUNNING';
  #writes = 0;

  private constructor(
    readonly target: Target,
    readonly options: BenchOptions,
  ) {}

  /** Opens the target's device. @throws TargetError */
  static async open(target: Target, options: BenchOptions): Promise<Bench> {
    const bench = new Bench(target, options);
    try {
      await bench.#open();
    } catch (error) {
      if (error instanceof HangError) throw new TargetError(error.message, { cause: error });
      throw error;
    }
    return bench;
  }

  async #open(): Promise<void> {
    const { target, options } = this;
    const opened = await inTime(`the opening of ${target.uri}`, options.timeout, () =>
      target.open({ dmaWrite: (iova, length) => this.#dmaWrite(iova, length) }),
    );
    this.#raw = bounded(opened, options.timeout);
    this.begin(this.events);
  }

  /** Begins a trace, with the opening of the device; without an argument a new one. */
  begin(events: TraceEvent[] = []): void {
    this.events = events;
    this.device = recorded(this.#raw, {
      host: HOST,
      emit: (event) => this.#take(event),
      now: () => Math.round(performance.now() * 1000),
    });
  }

  #take(event: TraceEvent): void {
    if (event.kind === 'device_open' || event.kind === 'reset') this.#state = 'RUNNING';
    if (event.kind === 'set_state_result' || event.kind === 'get_state')
      this.#state = event.state ?? this.#state;
    if (event.kind === 'set_state_result' || event.kind === 'reset') this.#writes = 0;
    this.tell(event);
  }

  /** Puts an event into the trace. */
  tell(event: TraceEvent): void {
    this.options.emit?.(event);
    this.events.push({ ...event, line: this.events.length + 1 });
  }

  #dmaWrite(iova: number, length: number): void {
    if (this.#raw === undefined || (this.#writes > 0 && isRunning(this.#state))) return;
    if (++this.#writes > MOST_WRITES) return;
    this.tell({ kind: 'dma_write', host: HOST, device: this.#raw.name, iova, length });
  }

  /** Closes the device and opens it again. @throws TargetError, HangError */
  async reopen(): Promise<void> {
    const { target, options } = this;
    this.fds.fill(null);
    await inTime(`the closing of ${target.uri}`, options.timeout, async () => target.close());
    await this.#open();
  }

  async close(): Promise<void> {
    try {
      await inTime(`the closing of ${this.target.uri}`, this.options.timeout, async () =>
        this.target.close(),
      );
    } catch {
      // All has been said about the device that can be said.
    }
  }

  /**
   * Brings the device to RUNNING with no session: by a reset, else by close and open, else by requests.
   * @param image leaves RESUMING where there is nothing else
   * @returns what is in the way, or null
   */
  async home(image: Uint8Array | null): Promise<string | null> {
    if (!this.touched) return null;
    const reopen = this.target.lacks.has('reopen') ? [] : [() => this.reopen()];
    const walk = () => this.#walkHome(image);
    const ways = this.canReset ? [() => this.reset(), walk, ...reopen] : [...reopen, walk];
    let trouble = 'the device does not come back to RUNNING';
    for (const way of ways) {
      const error = await refusalOf(way);
      const state = await stateOf(this.device);
      if (state === 'RUNNING') {
        await this.#tidy();
        this.touched = false;
        return null;
      }
      trouble = `the device is in ${state ?? 'a state that it does not tell'}, and does not come back to RUNNING${error === null ? '' : `: ${error.message}`}`;
    }
    return trouble;
  }

  get canReset(): boolean {
    return this.device.offersReset && !this.target.lacks.has('reset');
  }

  async reset(): Promise<void> {
    this.resets++;
    await this.device.reset();
  }

  /** RESUMING is left by a whole image only. */
  async #walkHome(image: Uint8Array | null): Promise<void> {
    if ((await this.device.getState()) === 'RESUMING' && image !== null)
      for (const fd of this.fds) if (fd !== null) await refusalOf(async () => writeAll(fd, image));
    await this.device.setState('RUNNING');
  }

  async #tidy(): Promise<void> {
    for (const fd of this.fds) if (fd !== null) await refusalOf(async () => fd.close());
    this.fds.length = 0;
    const { dmaLogging } = this.device;
    if (this.events.some(({ kind }) => kind === 'dma_logging_start') && dmaLogging !== null)
      await refusalOf(async () => dmaLogging.stop());
  }
}

async function stateOf(device: Device): Promise<MigState | null> {
  try {
    return await device.getState();
  } catch (error) {
    if (error instanceof HangError) throw error;
    return null;
  }
}

/** @throws DeviceError when the device refuses, or takes nothing */
export async function writeAll(fd: DataFd, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const taken = await fd.write(bytes.subarray(at));
    if (taken <= 0) throw new DeviceError('EIO', 'write() took nothing');
    at += taken;
  }
}
