import { type DataFd, DeviceError } from '../uapi/device.js';
import { VfioUserMigData } from '../uapi/vfio-user.js';
import { decoded, need, type Shared } from './server-shared.js';

/** MIG_DATA_READ and MIG_DATA_WRITE: the one session of a connection. */
export class MigrationData {
  readonly #shared: Shared;
  #fd: DataFd | null = null;

  constructor(shared: Shared) {
    this.#shared = shared;
  }

  /** A SET of MIG_DEVICE_STATE has begun a session: the one before it can be reached no more. */
  async begin(fd: DataFd): Promise<void> {
    await this.close();
    this.#fd = fd;
  }

  /** The protocol has no close: that of the connection is meant. */
  async close(): Promise<void> {
    const fd = this.#fd;
    this.#fd = null;
    try {
      await fd?.close();
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
    }
  }

  /**
   * A short reply means to some clients that the data is at its end, so a reply is filled as far as there is data.
   * Nothing for now (PRE_COPY) and the end (STOP_COPY) are both a reply without data. After a failure nobody
   * knows what belongs to what: bytes that were read before it are not sent.
   */
  async read(payload: Uint8Array): Promise<Uint8Array> {
    const { dialect } = this.#shared;
    const { argsz, size } = decoded(VfioUserMigData, payload);
    this.#checkSize(argsz, size);
    const answer = new Uint8Array(VfioUserMigData.size + size);
    const filled = await this.#fill(answer.subarray(VfioUserMigData.size));
    answer.set(VfioUserMigData.encode({ argsz: VfioUserMigData.size + filled, size: filled }));
    return dialect.padsReads ? answer : answer.subarray(0, VfioUserMigData.size + filled);
  }

  async write(payload: Uint8Array): Promise<Uint8Array> {
    const { argsz, size } = decoded(VfioUserMigData, payload);
    this.#checkSize(argsz, size);
    need(payload.length >= VfioUserMigData.size + size, 'MIG_DATA_WRITE has less data than it says');
    let rest = payload.subarray(VfioUserMigData.size, VfioUserMigData.size + size);
    const fd = this.#session();
    do {
      const taken = await fd.write(rest);
      if (taken === 0 && rest.length > 0) throw new DeviceError('EIO', 'the device takes no data');
      rest = rest.subarray(taken);
    } while (rest.length > 0);
    return new Uint8Array();
  }

  async #fill(into: Uint8Array): Promise<number> {
    const fd = this.#session();
    let filled = 0;
    do {
      let size: number;
      try {
        size = await fd.read(into.subarray(filled));
      } catch (error) {
        if (error instanceof DeviceError && error.code === 'ENOMSG') break;
        throw error;
      }
      if (size === 0) break;
      filled += size;
    } while (filled < into.length);
    return filled;
  }

  #session(): DataFd {
    if (this.#fd === null) throw new DeviceError('EINVAL', 'there is no data transfer session');
    return this.#fd;
  }

  #checkSize(argsz: number, size: number): void {
    need(argsz >= VfioUserMigData.size + size, `argsz ${argsz} has no room for ${size} bytes of data`);
    need(size <= this.#shared.maxData(), `${size} bytes of data are more than was agreed on`);
  }
}
