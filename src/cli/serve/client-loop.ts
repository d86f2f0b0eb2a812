import { Chronicle } from '../../migrate/chronicle.js';
import { recorded } from '../../target/recorded.js';
import type { TraceEvent } from '../../trace/event.js';
import { type Channel, type Listener, TransportError } from '../../transport/index.js';
import { type Device, DeviceError } from '../../uapi/device.js';
import { type Dialect, serveVfioUser, withoutP2p } from '../../vfio-user/index.js';
import type { Recording } from '../migrate/record.js';
import type { DeviceThread } from './device-thread.js';

/** What happens to a server. */
export type ServeEvent =
  | { readonly event: 'listening'; readonly socket: string; readonly device: string }
  | { readonly event: 'client' }
  | {
      readonly event: 'gone';
      readonly reason: string;
      readonly commands: number;
      readonly refused: number;
      /** Where the client has left the device, which is reset then. */
      readonly state: string | null;
      readonly digest: string | null;
    }
  | { readonly event: 'trouble'; readonly message: string };

export interface ClientLoopOptions {
  readonly dialect: Dialect;
  readonly timeout: number;
  readonly recording: Recording | null;
  tell(event: ServeEvent): void;
}

const HOST = 'server';

/** Serves one client after another. A client that comes meanwhile waits. */
export class ClientLoop {
  readonly #thread: DeviceThread;
  readonly #options: ClientLoopOptions;
  #channel: Channel | null = null;
  #isOver = false;

  constructor(thread: DeviceThread, options: ClientLoopOptions) {
    this.#thread = thread;
    this.#options = options;
  }

  /** Until so many clients are gone, or `end`. @throws what the device has crashed with */
  async run(listener: Listener, clients: number): Promise<void> {
    for (let served = 0; served < clients && !this.#isOver; served++) {
      try {
        this.#channel = await listener.accept();
      } catch (error) {
        if (this.#isOver) return;
        if (!(error instanceof TransportError)) throw error;
        // Such as too many open files: the next one may come through.
        this.#options.tell({ event: 'trouble', message: error.message });
        continue;
      }
      await this.#serve(this.#channel);
    }
  }

  end(): void {
    this.#isOver = true;
    this.#channel?.destroy();
  }

  async #serve(channel: Channel): Promise<void> {
    const { dialect, timeout, tell, recording } = this.#options;
    const counts = { commands: 0, refused: 0 };
    const { regions, irqs } = this.#thread;
    const served = {
      device: this.#opened(),
      regions,
      irqs,
      attach: this.#thread.attach.bind(this.#thread),
    };
    const reason = await serveVfioUser(channel, served, {
      dialect,
      timeout,
      onClient: () => tell({ event: 'client' }),
      onCommand: (_name, errno) => {
        counts.commands++;
        if (errno !== 0) counts.refused++;
      },
    });
    channel.destroy();
    recording?.flush();
    const left = await this.#left();
    tell({ event: 'gone', reason: reason.message, ...counts, ...left });
    if (!dialect.keepsStateOverConnections) await this.#reset();
  }

  /** The device as a client sees it, and with a recording as it is heard. */
  #opened(): Device {
    const device = withoutP2p(this.#thread.device);
    const { recording } = this.#options;
    if (recording === null) return device;
    const filter = new DmaEvents(device.name, recording.sink);
    this.#thread.onDmaWrite = (iova, length) => filter.write(iova, length);
    const now = () => Chronicle.now();
    return recorded(device, { host: HOST, now, emit: (event) => filter.emit(event) });
  }

  async #left(): Promise<{ state: string | null; digest: string | null }> {
    try {
      return { state: await this.#thread.device.getState(), digest: await this.#thread.digest() };
    } catch (error) {
      if (error instanceof DeviceError) return { state: null, digest: null };
      throw error;
    }
  }

  /** What the last close and the next open do. */
  async #reset(): Promise<void> {
    try {
      await this.#thread.device.reset();
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      const message = `the device was not reset for the next client: ${error.message}`;
      this.#options.tell({ event: 'trouble', message });
    }
  }
}

/** Of the DMA writes of a device, the first after each change of its state is told, and each that may not be. */
class DmaEvents {
  readonly #device: string;
  readonly #sink: (event: TraceEvent) => void;
  #state: string | null = 'RUNNING';
  #told = false;

  constructor(device: string, sink: (event: TraceEvent) => void) {
    this.#device = device;
    this.#sink = sink;
  }

  emit(event: TraceEvent): void {
    this.#sink(event);
    if (event.kind === 'set_state_result') this.#state = event.state ?? null;
    else if (event.kind === 'reset' && event.errno === 0) this.#state = 'RUNNING';
    else return;
    this.#told = false;
  }

  write(iova: number, length: number): void {
    const allowed = this.#state === 'RUNNING' || this.#state === 'PRE_COPY';
    if (this.#told && allowed) return;
    this.#told = true;
    const what = { iova: `0x${iova.toString(16)}`, length };
    this.#sink({ kind: 'dma_write', t: Chronicle.now(), host: HOST, device: this.#device, ...what });
  }
}
