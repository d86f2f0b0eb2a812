import { opensSession } from '../machines/index.js';
import { type DataFd, type Device, DeviceError, type DmaLogging } from '../uapi/device.js';
import { type BitmapRange, bitmapBytes, DirtyBitmap } from '../uapi/dirty-bitmap.js';
import {
  FEATURE_FLAGS,
  FEATURES,
  MIG_STATE_NUMBER,
  MIGRATION_FLAGS,
  type MigState,
  migStateOf,
} from '../uapi/vfio.js';
import { encodeDmaLoggingRanges, type IovaRange } from '../uapi/vfio-structs.js';
import {
  VfioUserLoggingControl,
  VfioUserLoggingReport,
  VfioUserMigration,
  VfioUserMigState,
} from '../uapi/vfio-user.js';
import { VFIO_USER_DEVICE_FLAGS } from '../uapi/vfio-user-device.js';
import type { VfioUserClient } from './client.js';
import { VfioUserError } from './error.js';

const { GET, SET } = FEATURE_FLAGS;

/** What a state field may hold that is no state. */
const LARGEST = 0xffff_ffff;

/**
 * The device behind a connection, at the boundary of the VFIO uAPI.
 *
 * vfio-user has no data_fd: there is one session, that of the connection. A fd of ours that outlives its session
 * still goes to the server, which has to refuse. Only when a later session was opened it answers ENODEV itself,
 * since its messages would be taken for those of the new one.
 * @throws VfioUserError when the device does not offer migration; DeviceError when the server refuses to say
 */
export async function vfioUserDevice(client: VfioUserClient, name: string): Promise<Device> {
  const flags = await migrationFlags(client, name);
  const { dialect } = client;
  let info: Awaited<ReturnType<VfioUserClient['deviceInfo']>>;
  try {
    info = await client.deviceInfo();
  } catch (error) {
    if (!(error instanceof DeviceError && dialect.keepsStateOverConnections)) throw error;
    // The last client has left it in a state in which it says nothing.
    await setState(client, MIG_STATE_NUMBER.RUNNING);
    info = await client.deviceInfo();
  }
  const offersReset = dialect.resetsMigration && (info.flags & VFIO_USER_DEVICE_FLAGS.RESET) !== 0;
  const logs = dialect.logsWithoutFds && (await hasLogging(client));
  return new ClientDevice(client, { name, flags, offersReset, logs });
}

async function migrationFlags(client: VfioUserClient, name: string): Promise<number> {
  let data: Uint8Array;
  try {
    data = await client.feature(FEATURES.MIGRATION | GET, undefined, VfioUserMigration.size);
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    throw new VfioUserError(
      `${name}: the device does not offer migration (${error.code} of feature MIGRATION)`,
    );
  }
  if (data.length < VfioUserMigration.size)
    throw new VfioUserError(
      `${name}: the reply to feature MIGRATION has ${data.length} bytes of flags, not 8`,
    );
  const flags = Number(VfioUserMigration.decode(data).flags & 0xffff_ffffn);
  if ((flags & MIGRATION_FLAGS.STOP_COPY) !== 0) return flags;
  throw new VfioUserError(`${name}: the device cannot migrate: its flags lack STOP_COPY`);
}

async function hasLogging(client: VfioUserClient): Promise<boolean> {
  return (
    (await client.probe(FEATURES.DMA_LOGGING_START, SET)) &&
    (await client.probe(FEATURES.DMA_LOGGING_STOP, SET)) &&
    (await client.probe(FEATURES.DMA_LOGGING_REPORT, GET))
  );
}

async function setState(client: VfioUserClient, number: number): Promise<void> {
  const data = VfioUserMigState.encode({ device_state: number, data_fd: LARGEST });
  await client.feature(FEATURES.MIG_DEVICE_STATE | SET, data);
}

async function getState(client: VfioUserClient): Promise<MigState> {
  const data = await client.feature(FEATURES.MIG_DEVICE_STATE | GET, undefined, VfioUserMigState.size);
  // libvfio-user sends four bytes or eight.
  const number = data.length < 4 ? -1 : new DataView(data.buffer, data.byteOffset).getUint32(0, true);
  const state = migStateOf(number);
  if (state === undefined)
    throw new VfioUserError(`the server names the state ${number}, which there is not`);
  return state;
}

class ClientDevice implements Device {
  readonly name: string;
  readonly flags: number;
  readonly offersReset: boolean;
  readonly dmaLogging: DmaLogging | null;
  readonly #client: VfioUserClient;
  /** Number of the session that was opened last. */
  #session = 0;

  constructor(
    client: VfioUserClient,
    what: { name: string; flags: number; offersReset: boolean; logs: boolean },
  ) {
    this.#client = client;
    this.name = what.name;
    this.flags = what.flags;
    this.offersReset = what.offersReset;
    this.dmaLogging = what.logs ? new ClientDmaLogging(client) : null;
  }

  async setState(wanted: MigState | number): Promise<DataFd | null> {
    const number = typeof wanted === 'number' ? wanted : MIG_STATE_NUMBER[wanted];
    if (!Number.isInteger(number) || number < 0 || number > LARGEST)
      throw new RangeError(`a state is a number of 32 bits, not ${number}`);
    const to = migStateOf(number);
    // Nothing in the reply tells whether a session has begun: that follows from where the device was.
    const from = await getState(this.#client);
    await setState(this.#client, number);
    if (to === undefined || !opensSession(from, to)) return null;
    const session = ++this.#session;
    return new ClientDataFd(this.#client, () => session === this.#session);
  }

  getState(): Promise<MigState> {
    return getState(this.#client);
  }

  dataSize(): never {
    throw new DeviceError('ENOTTY', 'vfio-user has no MIG_DATA_SIZE');
  }

  optInPrecopyInfoV2(): never {
    throw new DeviceError('ENOTTY', 'vfio-user has no precopy info');
  }

  reset(): Promise<void> {
    return this.#client.reset();
  }

  readRegion(region: number, offset: number, size: number): Promise<Uint8Array> {
    return this.#client.regionRead(region, offset, size);
  }

  writeRegion(region: number, offset: number, bytes: Uint8Array): Promise<void> {
    return this.#client.regionWrite(region, offset, bytes);
  }
}

class ClientDataFd implements DataFd {
  readonly #client: VfioUserClient;
  readonly #isLatest: () => boolean;
  #closed = false;

  constructor(client: VfioUserClient, isLatest: () => boolean) {
    this.#client = client;
    this.#isLatest = isLatest;
  }

  async read(into: Uint8Array): Promise<number> {
    this.#check();
    const data = await this.#client.migDataRead(into.length);
    into.set(data);
    if (data.length > 0 || into.length === 0) return data.length;
    // Nothing is the end in STOP_COPY, and nothing for now in PRE_COPY.
    if ((await getState(this.#client)) === 'PRE_COPY')
      throw new DeviceError('ENOMSG', 'there is no more data for now');
    return 0;
  }

  async write(bytes: Uint8Array): Promise<number> {
    this.#check();
    let taken = 0;
    do {
      try {
        taken += await this.#client.migDataWrite(bytes.subarray(taken));
      } catch (error) {
        // A later write tells it again.
        if (taken > 0 && error instanceof DeviceError) return taken;
        throw error;
      }
    } while (taken < bytes.length);
    return taken;
  }

  precopyInfo(): never {
    this.#check();
    throw new DeviceError('ENOTTY', 'vfio-user has no precopy info');
  }

  close(): void {
    if (this.#closed) throw new DeviceError('EBADF', 'the data_fd is closed');
    this.#closed = true;
  }

  #check(): void {
    if (this.#closed) throw new DeviceError('EBADF', 'the data_fd is closed');
    if (!this.#isLatest()) throw new DeviceError('ENODEV', 'a later session has been opened');
  }
}

class ClientDmaLogging implements DmaLogging {
  readonly #client: VfioUserClient;

  constructor(client: VfioUserClient) {
    this.#client = client;
  }

  /** In vfio-user no range means all: what the uAPI refuses has no form there, and is refused here. */
  async start({ pageSize, ranges }: { pageSize: bigint; ranges: readonly IovaRange[] }): Promise<bigint> {
    if (ranges.length === 0) throw new DeviceError('EINVAL', 'no range to log');
    const control = { page_size: pageSize, num_ranges: ranges.length, reserved: 0 };
    const data = Buffer.concat([VfioUserLoggingControl.encode(control), encodeDmaLoggingRanges(ranges)]);
    const answer = await this.#client.feature(FEATURES.DMA_LOGGING_START | SET, data);
    if (answer.length < VfioUserLoggingControl.size) return pageSize;
    return VfioUserLoggingControl.decode(answer).page_size;
  }

  async stop(): Promise<void> {
    await this.#client.feature(FEATURES.DMA_LOGGING_STOP | SET);
  }

  async report(range: BitmapRange): Promise<DirtyBitmap> {
    const { iova, length, pageSize: page_size } = range;
    const ask = VfioUserLoggingReport.encode({ iova, length, page_size });
    const units = page_size > 0n ? (length + page_size - 1n) / page_size : 0n;
    const bytes = units < 2n ** 31n ? bitmapBytes(Number(units)) : this.#client.maxData;
    const room = ask.length + Math.min(bytes, this.#client.maxData);
    const answer = await this.#client.feature(FEATURES.DMA_LOGGING_REPORT | GET, ask, room);
    const bitmap = answer.slice(VfioUserLoggingReport.size);
    try {
      return new DirtyBitmap(range, bitmap);
    } catch (error) {
      throw new VfioUserError(`the dirty bitmap of the server does not fit: ${(error as Error).message}`);
    }
  }
}
