import { type DataFd, DeviceError } from '../uapi/device.js';
import type { VfioStreamTag } from '../uapi/qemu.js';
import { MigrationError } from './error.js';
import type { VfioDevice } from './vfio-device.js';

/** Most bytes of packets that wait for an earlier one (`x-migration-max-queued-buffers-size`). */
const MAX_QUEUED = 64 << 20;

/** The load handlers of one VFIO device (`hw/vfio/migration.c`), from load_setup to load_cleanup. */
export class DeviceReceiver {
  readonly device: VfioDevice;
  /** The config state was loaded. */
  configured = false;
  /** The END section came, or with multifd the config packet. */
  complete = false;
  readonly #multifd: boolean;
  readonly #queue = new Map<number, { data: Uint8Array; config: boolean }>();
  #queued = 0;
  #next = 0;
  #threadStarted = false;
  /** Packets are being written; those that come meanwhile are written after them. */
  #loading = false;

  constructor(device: VfioDevice, options: { multifd: boolean }) {
    this.device = device;
    this.#multifd = options.multifd;
  }

  /** load_setup. @throws DeviceError */
  async setup(): Promise<void> {
    await this.device.setState('RESUMING', 'RUNNING');
  }

  /** A tag was read from a section. */
  record(tag: VfioStreamTag): void {
    this.device.destination.take('LOAD.record');
    this.device.tell({ kind: 'load_record', tag });
    if (tag === 'DEV_CONFIG_STATE' && this.#multifd)
      throw new MigrationError(`${this.device.name}: config state on the main channel of a multifd transfer`);
  }

  /** Writes device data, all of it. @throws DeviceError when the device refuses it */
  async write(data: Uint8Array): Promise<void> {
    const fd = this.#fd;
    for (let done = 0; done < data.length; ) {
      const taken = await fd.write(data.subarray(done));
      if (taken === 0) throw new DeviceError('EIO', `${this.device.name}: write() took nothing`);
      done += taken;
    }
  }

  get #fd(): DataFd {
    const { fd } = this.device;
    if (fd === null) throw new DeviceError('EBADF', `${this.device.name}: no data_fd is open`);
    return fd;
  }

  configStarts(): void {
    this.device.destination.take('LOAD.config_start');
    this.device.tell({ kind: 'load_config_start' });
  }

  configEnds(): void {
    this.configured = true;
    this.device.destination.take('LOAD.config_end');
    this.device.tell({ kind: 'load_config_end' });
  }

  /** SWITCHOVER_START: packets may be written from now on. */
  switchoverStarts(): void {
    if (!this.#multifd) return;
    this.#threadStarted = true;
    this.device.tell({ kind: 'load_thread_start' });
  }

  /**
   * A packet came on some channel, in any order; those that are due are written.
   * @param config what loads the config state of the last packet
   * @throws MigrationError for an index that comes twice, or too much that waits
   */
  async packet(
    index: number,
    packet: { data: Uint8Array; config: boolean },
    config: (payload: Uint8Array) => Promise<void>,
  ): Promise<void> {
    if (index < this.#next || this.#queue.has(index))
      throw new MigrationError(`${this.device.name}: packet ${index} comes twice`);
    this.#queued += packet.data.length;
    if (this.#queued > MAX_QUEUED)
      throw new MigrationError(
        `${this.device.name}: more than ${MAX_QUEUED} bytes of packets wait for packet ${this.#next}`,
      );
    this.#queue.set(index, packet);
    this.device.tell({ kind: 'load_buffer_queued', index });
    await this.loadDue(config);
  }

  /** Writes the packets that are due. Each is taken out before it is written, so that none is written twice. */
  async loadDue(config: (payload: Uint8Array) => Promise<void>): Promise<void> {
    if (!this.#threadStarted || this.#loading) return;
    // One at a time: a device may take a packet in parts, and other channels bring packets meanwhile.
    this.#loading = true;
    try {
      for (let due = this.#queue.get(this.#next); due !== undefined; due = this.#queue.get(this.#next)) {
        const index = this.#next++;
        this.#queue.delete(index);
        this.#queued -= due.data.length;
        if (due.config) {
          this.device.tell({ kind: 'load_buffers_done' });
          await config(due.data);
          this.complete = true;
          this.device.tell({ kind: 'load_thread_end' });
          return;
        }
        this.device.tell({ kind: 'load_buffer_start', index });
        await this.write(due.data);
        this.device.tell({ kind: 'load_buffer_end', index });
      }
    } finally {
      this.#loading = false;
    }
  }

  /** load_cleanup; also after a failure, when the device must not stay in RESUMING. */
  async cleanup(failed: boolean): Promise<void> {
    const { device } = this;
    await device.closeFd();
    device.destination.take('LOAD.cleanup');
    device.tell({ kind: 'load_cleanup' });
    if (!failed) return;
    try {
      await device.device.reset();
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
    }
  }
}
