import { DeviceError, type DmaLogging } from '../uapi/device.js';
import { type BitmapRange, bitmapBytes } from '../uapi/dirty-bitmap.js';
import { DMA_LOGGING_MAX_RANGES, FEATURE_FLAGS, FEATURES, MIG_STATE_NUMBER } from '../uapi/vfio.js';
import { DmaLoggingRange, decodeDmaLoggingRanges, type IovaRange } from '../uapi/vfio-structs.js';
import {
  VfioUserDeviceFeature,
  VfioUserLoggingControl,
  VfioUserLoggingReport,
  VfioUserMigration,
  VfioUserMigState,
} from '../uapi/vfio-user.js';
import type { MigrationData } from './server-migration.js';
import { decoded, need, type Shared } from './server-shared.js';

const { GET, SET, PROBE, MASK } = FEATURE_FLAGS;
const NONE = new Uint8Array();

/** One feature: what is done for GET and SET, each with the data of the request; the reply's data is returned. */
interface Feature {
  get?(data: Uint8Array): Promise<Uint8Array>;
  /** The reply is the request. */
  set?(data: Uint8Array): Promise<void>;
}

/** DEVICE_FEATURE. */
export class FeatureCommand {
  readonly #shared: Shared;
  readonly #features: ReadonlyMap<number, Feature>;
  #logging = false;

  constructor(shared: Shared, migration: MigrationData) {
    this.#shared = shared;
    const { device } = shared;
    const features = new Map<number, Feature>([
      [FEATURES.MIGRATION, { get: async () => VfioUserMigration.encode({ flags: BigInt(device.flags) }) }],
      [
        FEATURES.MIG_DEVICE_STATE,
        {
          get: async () => {
            const state = MIG_STATE_NUMBER[await device.getState()];
            return VfioUserMigState.encode({ device_state: state, data_fd: 0 });
          },
          set: async (data) => {
            const fd = await device.setState(decoded(VfioUserMigState, data).device_state);
            if (fd !== null) await migration.begin(fd);
          },
        },
      ],
    ]);
    const { dmaLogging: log } = device;
    if (log !== null) {
      features.set(FEATURES.DMA_LOGGING_START, { set: (data) => this.#start(log, data) });
      features.set(FEATURES.DMA_LOGGING_STOP, { set: () => this.#stop(log) });
      features.set(FEATURES.DMA_LOGGING_REPORT, { get: (data) => this.#report(log, data) });
    }
    this.#features = features;
  }

  async run(payload: Uint8Array): Promise<Uint8Array> {
    const { argsz, flags } = decoded(VfioUserDeviceFeature, payload);
    const index = flags & MASK;
    const feature = this.#features.get(index);
    if (feature === undefined) throw new DeviceError('ENOTTY', `there is no feature ${index}`);
    const wants = flags & (GET | SET);
    const { get, set } = feature;
    need((flags & GET) === 0 || get !== undefined, `feature ${index} has no GET`);
    need((flags & SET) === 0 || set !== undefined, `feature ${index} has no SET`);
    if ((flags & PROBE) !== 0) return fitting(argsz, payload);
    need(wants === GET || wants === SET, 'expected one of GET and SET');
    const data = payload.subarray(VfioUserDeviceFeature.size);
    if (wants === SET) {
      fitting(argsz, payload);
      await set!(data);
      return payload;
    }
    this.#checkRoom(index, argsz, data);
    const answer = await get!(data);
    const size = VfioUserDeviceFeature.size + answer.length;
    need(argsz >= size, `argsz ${argsz} has no room for ${size} bytes`);
    return Buffer.concat([VfioUserDeviceFeature.encode({ argsz: size, flags }), answer]);
  }

  /** The connection is over: nobody will read what is logged. */
  async stopLogging(): Promise<void> {
    const { dmaLogging } = this.#shared.device;
    if (!this.#logging || dmaLogging === null) return;
    try {
      await this.#stop(dmaLogging);
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
    }
  }

  /** A report clears what it tells, so it must not be made for a reply that cannot be sent. */
  #checkRoom(index: number, argsz: number, data: Uint8Array): void {
    if (index !== FEATURES.DMA_LOGGING_REPORT) return;
    const bytes = this.bitmapBytes(rangeOf(data));
    const size = VfioUserDeviceFeature.size + VfioUserLoggingReport.size + bytes;
    need(argsz >= size, `argsz ${argsz} has no room for ${size} bytes`);
  }

  /** Bytes of the bitmap of a range. @throws DeviceError EINVAL when it is no range, or they are too many */
  bitmapBytes({ length, pageSize }: BitmapRange): number {
    need(pageSize > 0n && length > 0n, 'an empty range, or a page size of 0');
    const units = (length + pageSize - 1n) / pageSize;
    need(
      units <= 8n * BigInt(this.#shared.maxData()),
      `a bitmap of ${units} bits is too large for a message`,
    );
    return bitmapBytes(Number(units));
  }

  async #start(log: DmaLogging, data: Uint8Array): Promise<void> {
    const { page_size: pageSize, num_ranges: count } = decoded(VfioUserLoggingControl, data);
    if (count > DMA_LOGGING_MAX_RANGES) throw new DeviceError('E2BIG', `${count} ranges are too many`);
    const rest = data.subarray(VfioUserLoggingControl.size);
    need(rest.length >= count * DmaLoggingRange.size, `${count} ranges are announced, and fewer have come`);
    const ranges = count === 0 ? this.#allRanges() : decodeDmaLoggingRanges(rest, count);
    await log.start({ pageSize, ranges });
    this.#logging = true;
  }

  /** In vfio-user no range means all. Nothing is lost behind 2^63: no device address is that large here. */
  #allRanges(): IovaRange[] {
    return [{ iova: 0n, length: 1n << 63n }];
  }

  async #stop(log: DmaLogging): Promise<void> {
    await log.stop();
    this.#logging = false;
  }

  async #report(log: DmaLogging, data: Uint8Array): Promise<Uint8Array> {
    const range = rangeOf(data);
    const { bytes } = await log.report(range);
    return Buffer.concat([data.subarray(0, VfioUserLoggingReport.size), bytes]);
  }
}

function rangeOf(data: Uint8Array): BitmapRange {
  const { iova, length, page_size: pageSize } = decoded(VfioUserLoggingReport, data);
  return { iova, length, pageSize };
}

/** A reply that is the request has to be as long as its sender expects. */
function fitting(argsz: number, payload: Uint8Array): Uint8Array {
  need(argsz >= payload.length, `argsz ${argsz} has no room for ${payload.length} bytes`);
  return payload.length === 0 ? NONE : payload;
}
