import { type DataFd, type Device, DeviceError, type DmaLogging } from '../../uapi/device.js';
import { FEATURES, IOCTLS, MIG_STATE_NUMBER, type MigState, migStateOf } from '../../uapi/vfio.js';
import { FeatureMigState, MigDataSize } from '../../uapi/vfio-structs.js';
import { KernelDataFd } from './data-fd.js';
import type { DeviceCalls } from './device-calls.js';
import { KernelDmaLogging } from './dma-logging.js';
import { Regions } from './regions.js';

/** What is known of a device when it has been opened. */
export interface DeviceTraits {
  name: string;
  /** Flags of VFIO_DEVICE_FEATURE_MIGRATION. */
  flags: number;
  offersReset: boolean;
  offersDmaLogging: boolean;
}

/** A device of the kernel. */
export class KernelDevice implements Device {
  readonly name: string;
  readonly flags: number;
  readonly offersReset: boolean;
  readonly dmaLogging: DmaLogging | null;
  readonly #calls: DeviceCalls;
  readonly #regions: Regions;
  #v2 = false;

  constructor(calls: DeviceCalls, traits: DeviceTraits) {
    this.name = traits.name;
    this.flags = traits.flags;
    this.offersReset = traits.offersReset;
    this.dmaLogging = traits.offersDmaLogging ? new KernelDmaLogging(calls) : null;
    this.#calls = calls;
    this.#regions = new Regions(calls);
  }

  async setState(state: MigState | number): Promise<DataFd | null> {
    const number = typeof state === 'number' ? state : MIG_STATE_NUMBER[state];
    const data = FeatureMigState.encode({ device_state: number, data_fd: -1 });
    const what = `MIG_DEVICE_STATE to ${migStateOf(number) ?? number}`;
    const after = await this.#calls.set({ index: FEATURES.MIG_DEVICE_STATE, data }, what);
    const { data_fd } = FeatureMigState.decode(after);
    return data_fd < 0 ? null : new KernelDataFd(this.#calls, data_fd, () => this.#v2);
  }

  async getState(): Promise<MigState> {
    const data = new Uint8Array(FeatureMigState.size);
    const after = await this.#calls.get({ index: FEATURES.MIG_DEVICE_STATE, data }, 'MIG_DEVICE_STATE');
    const number = FeatureMigState.decode(after).device_state;
    const state = migStateOf(number);
    if (state === undefined) {
      throw new DeviceError('EPROTO', `GET of MIG_DEVICE_STATE gives ${number}, which is no state`);
    }
    return state;
  }

  async dataSize(): Promise<bigint> {
    const data = new Uint8Array(MigDataSize.size);
    const after = await this.#calls.get({ index: FEATURES.MIG_DATA_SIZE, data }, 'MIG_DATA_SIZE');
    return MigDataSize.decode(after).stop_copy_length;
  }

  async optInPrecopyInfoV2(): Promise<void> {
    await this.#calls.set({ index: FEATURES.MIG_PRECOPY_INFOv2 }, 'MIG_PRECOPY_INFOv2');
    this.#v2 = true;
  }

  async reset(): Promise<void> {
    await this.#calls.ioctl(IOCTLS.VFIO_DEVICE_RESET, 0, 'VFIO_DEVICE_RESET');
  }

  readRegion(region: number, offset: number, size: number): Promise<Uint8Array> {
    return this.#regions.read(region, offset, size);
  }

  writeRegion(region: number, offset: number, bytes: Uint8Array): Promise<void> {
    return this.#regions.write(region, offset, bytes);
  }
}
