import type { StreamWriter } from '../stream/index.js';
import { DeviceError } from '../uapi/device.js';
import type { VfioDevice } from './vfio-device.js';

/** Longest read() of device data, as QEMU's. */
const BUFFER = 1 << 20;
/** What QEMU takes for the size of a STOP_COPY that cannot be asked. */
const UNKNOWN_SIZE = 100 * 2 ** 30;

/** Pending bytes of one device. */
export interface DevicePending {
  readonly precopy: number;
  readonly stopcopy: number;
  /** The device asks for an acknowledgement of the destination before the switchover. */
  readonly ack: boolean;
}

/** The save handlers of one VFIO device (`hw/vfio/migration.c`), from save_setup to save_cleanup. */
export class DeviceSender {
  readonly device: VfioDevice;
  readonly idstr: string;
  /** Device data that was read, in bytes. */
  bytes = 0;
  #buffer = new Uint8Array(0);
  #initial = 0;
  #dirty = 0;
  #stopCopySize = 0;
  #initialSent = false;
  #ackRequested = false;
  readonly #wantsAck: boolean;

  constructor(device: VfioDevice, options: { switchoverAck: boolean }) {
    this.device = device;
    this.idstr = `${device.name}/vfio`;
    this.#wantsAck = options.switchoverAck;
  }

  /** save_setup, but for its section. @throws DeviceError */
  async setup(): Promise<void> {
    const { device } = this;
    await this.#queryStopCopySize();
    this.#buffer = new Uint8Array(Math.max(1, Math.min(BUFFER, this.#stopCopySize)));
    if (device.capabilities.preCopy && device.state === 'RUNNING') {
      await device.setState('PRE_COPY', 'RUNNING');
      await this.#queryPrecopy();
      this.#ackRequested = this.#wantsAck;
    }
    device.source.take('SAVE.setup');
    device.tell({ kind: 'save_setup', bufferSize: this.#buffer.length });
  }

  get #precopying(): boolean {
    return this.device.state === 'PRE_COPY' || this.device.state === 'PRE_COPY_P2P';
  }

  async #queryStopCopySize(): Promise<void> {
    try {
      this.#stopCopySize = Number(await this.device.device.dataSize());
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      this.#stopCopySize = UNKNOWN_SIZE;
    }
  }

  async #queryPrecopy(): Promise<void> {
    const { fd, precopyInfoV2 } = this.device;
    if (fd === null) return;
    const { initial, dirty, reinit } = await fd.precopyInfo();
    this.#initial = Number(initial);
    this.#dirty = Number(dirty);
    if (!precopyInfoV2 || reinit !== true || !this.#initialSent) return;
    this.#initialSent = false;
    this.#ackRequested = this.#wantsAck;
  }

  /**
   * save_query_pending.
   * @param exact asks the device; otherwise what is known from the last time
   * @param final the query of the switchover, with the VM stopped: cached values
   */
  async pending(exact: boolean, final: boolean): Promise<DevicePending> {
    if (exact && !final) {
      await this.#queryStopCopySize();
      if (this.#precopying) await this.#queryPrecopy();
    }
    const precopy = this.#initial + this.#dirty;
    const stopcopy = Math.max(this.#stopCopySize - precopy, 0);
    const ack = this.#ackRequested;
    this.#ackRequested = false;
    const [initial, dirty] = [this.#initial, this.#dirty];
    this.device.tell({
      kind: 'state_pending',
      stopcopy: this.#stopCopySize,
      initial,
      dirty,
      ack,
      exact,
      final,
    });
    return { precopy, stopcopy, ack };
  }

  /** A last look for REINIT, while the VM stops and the device is still in PRE_COPY. */
  async lastPrecopyQuery(): Promise<void> {
    if (this.device.state === 'PRE_COPY' && this.device.precopyInfoV2 && this.#wantsAck)
      await this.#queryPrecopy();
  }

  /** save_live_iterate: the body of a PART section, or null when the device has none. @throws DeviceError */
  async iterate(): Promise<{ data: Uint8Array; initialSent: boolean } | null> {
    if (!this.#precopying) return null;
    const data = await this.#read();
    if (this.#initial > 0) {
      const first = Math.min(this.#initial, data.length);
      this.#initial -= first;
      this.#dirty = Math.max(0, this.#dirty - (data.length - first));
    } else {
      this.#dirty = Math.max(0, this.#dirty - data.length);
    }
    const initialSent = this.#wantsAck && this.#initial === 0 && !this.#initialSent;
    if (initialSent) {
      this.#initialSent = true;
      this.device.tell({ kind: 'init_data_sent' });
    }
    this.device.source.take('SAVE.iterate');
    this.device.tell({ kind: 'save_iterate', initial: this.#initial, dirty: this.#dirty });
    return { data, initialSent };
  }

  /** One read(); no bytes when there are none for now. */
  async #read(): Promise<Uint8Array> {
    const { fd } = this.device;
    if (fd === null) throw new DeviceError('EBADF', `${this.device.name}: no data_fd is open`);
    try {
      const size = await fd.read(this.#buffer);
      this.bytes += size;
      return this.#buffer.subarray(0, size);
    } catch (error) {
      if (error instanceof DeviceError && error.code === 'ENOMSG') return this.#buffer.subarray(0, 0);
      throw error;
    }
  }

  /**
   * save_complete: all that is left, in pieces of at most 1 MiB, up to the permanent end. Whoever takes the
   * pieces uses each before asking for the next one.
   * @throws DeviceError
   */
  async *complete(multifd: boolean): AsyncGenerator<Uint8Array> {
    const { device } = this;
    device.source.take('SAVE.drain');
    device.tell({ kind: 'save_complete_start', ...(multifd ? { multifd } : {}) });
    await device.setState('STOP_COPY', 'STOP');
    for (let piece = await this.#read(); piece.length > 0; piece = await this.#read()) yield piece;
    device.source.take('SAVE.drained');
    device.tell({ kind: 'save_complete', ...(multifd ? { multifd } : {}), errno: 0 });
  }

  /** save_state was written. */
  configSaved(): void {
    this.device.source.take('SAVE.config');
    this.device.tell({ kind: 'save_config' });
  }

  /** save_cleanup. Device errors have been answered by a reset already, and end nothing here. */
  async cleanup(): Promise<void> {
    const { device } = this;
    if (device.state === 'STOP_COPY') {
      try {
        await device.setState('STOP', 'ERROR');
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error;
      }
    }
    await device.closeFd();
    device.source.take('SAVE.cleanup');
    device.tell({ kind: 'save_cleanup' });
  }
}

/** Writes the body of a PART section. */
export async function writePart(
  writer: StreamWriter,
  { data, initialSent }: { data: Uint8Array; initialSent: boolean },
): Promise<void> {
  if (data.length > 0) await writeData(writer, data);
  await writer.item({ kind: 'vfio', tag: initialSent ? 'DEV_INIT_DATA_SENT' : 'END_OF_STATE' });
}

/** Writes a DATA record. The bytes may be reused when the promise is done. */
export async function writeData(writer: StreamWriter, data: Uint8Array): Promise<void> {
  await writer.item({ kind: 'vfio', tag: 'DEV_DATA_STATE', size: data.length });
  await writer.data(data);
}
