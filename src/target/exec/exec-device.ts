import { type DataFd, type Device, DeviceError, type DmaLogging } from '../../uapi/device.js';
import { type BitmapRange, DirtyBitmap } from '../../uapi/dirty-bitmap.js';
import type { OptionalCall } from '../../uapi/optional-call.js';
import type { MigState } from '../../uapi/vfio.js';
import type { IovaRange, PrecopyBytes } from '../../uapi/vfio-structs.js';
import type { Connection } from './connection.js';
import { type Answer, MAX_DATA } from './protocol.js';

type Hello = Answer<'hello'>;

/** A device at the other end of a connection. */
export class ExecDevice implements Device {
  readonly name: string;
  readonly flags: number;
  readonly offersReset: boolean;
  readonly dmaLogging: DmaLogging | null;
  readonly #connection: Connection;
  readonly #calls: ReadonlySet<OptionalCall>;

  constructor(connection: Connection, { name, flags, calls }: Hello) {
    this.#connection = connection;
    this.#calls = new Set(calls);
    this.name = name;
    this.flags = flags;
    this.offersReset = this.#calls.has('reset');
    this.dmaLogging = this.#calls.has('dma_logging') ? new ExecDmaLogging(connection) : null;
  }

  async setState(state: MigState | number): Promise<DataFd | null> {
    const { data_fd: fd } = await this.#connection.ask('set_state', { state });
    if (fd === null) return null;
    return new ExecFd(this.#connection, fd, this.#calls);
  }

  async getState(): Promise<MigState> {
    return (await this.#connection.ask('get_state', {})).state;
  }

  async dataSize(): Promise<bigint> {
    need(this.#calls, 'data_size');
    return BigInt((await this.#connection.ask('data_size', {})).bytes);
  }

  async optInPrecopyInfoV2(): Promise<void> {
    need(this.#calls, 'precopy_info_v2');
    await this.#connection.ask('precopy_info_v2', {});
  }

  async reset(): Promise<void> {
    need(this.#calls, 'reset');
    await this.#connection.ask('reset', {});
  }

  async readRegion(region: number, offset: number, size: number): Promise<Uint8Array> {
    need(this.#calls, 'read_region');
    const { data } = await this.#connection.ask('read_region', { region, offset, size });
    const bytes = Buffer.from(data, 'base64');
    if (bytes.length === size) return bytes;
    throw this.#connection.broken(`a read_region of ${size} bytes has given ${bytes.length}`);
  }

  async writeRegion(region: number, offset: number, bytes: Uint8Array): Promise<void> {
    need(this.#calls, 'read_region');
    await this.#connection.ask('write_region', { region, offset, data: base64(bytes) });
  }
}

class ExecFd implements DataFd {
  readonly #connection: Connection;
  readonly #fd: number;
  readonly #calls: ReadonlySet<OptionalCall>;

  constructor(connection: Connection, fd: number, calls: ReadonlySet<OptionalCall>) {
    this.#connection = connection;
    this.#fd = fd;
    this.#calls = calls;
  }

  async read(into: Uint8Array): Promise<number> {
    const size = Math.min(into.length, MAX_DATA);
    const { data } = await this.#connection.ask('read', { fd: this.#fd, size });
    const bytes = Buffer.from(data, 'base64');
    if (bytes.length > size)
      throw this.#connection.broken(`a read of ${size} bytes has given ${bytes.length}`);
    into.set(bytes);
    return bytes.length;
  }

  async write(bytes: Uint8Array): Promise<number> {
    const part = bytes.subarray(0, MAX_DATA);
    const { count } = await this.#connection.ask('write', { fd: this.#fd, data: base64(part) });
    if (count > part.length)
      throw this.#connection.broken(`a write of ${part.length} bytes has taken ${count}`);
    return count;
  }

  async precopyInfo(): Promise<PrecopyBytes> {
    need(this.#calls, 'precopy_info');
    const { initial, dirty, reinit } = await this.#connection.ask('precopy_info', { fd: this.#fd });
    const both = { initial: BigInt(initial), dirty: BigInt(dirty) };
    return reinit === undefined ? both : { ...both, reinit };
  }

  async close(): Promise<void> {
    await this.#connection.ask('close', { fd: this.#fd });
  }
}

class ExecDmaLogging implements DmaLogging {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async start(request: { pageSize: bigint; ranges: readonly IovaRange[] }): Promise<bigint> {
    const ranges = request.ranges.map(({ iova, length }) => ({ iova: hex(iova), length: hex(length) }));
    const page_size = Number(request.pageSize);
    return BigInt((await this.#connection.ask('log_start', { page_size, ranges })).page_size);
  }

  async stop(): Promise<void> {
    await this.#connection.ask('log_stop', {});
  }

  async report({ iova, length, pageSize }: BitmapRange): Promise<DirtyBitmap> {
    const asked = { iova: hex(iova), length: hex(length), page_size: Number(pageSize) };
    const { bitmap } = await this.#connection.ask('log_report', asked);
    return bitmapOf({ iova, length, pageSize }, Buffer.from(bitmap, 'base64'));
  }
}

/** The bitmap of a range whose trailing zeros may be missing. */
function bitmapOf(range: BitmapRange, marked: Uint8Array): DirtyBitmap {
  // A device that grants what is no range, or one beyond any message, has marked nothing there.
  if (!isRange(range)) return new DirtyBitmap({ iova: 0n, length: 1n, pageSize: 1n });
  const bitmap = new DirtyBitmap(range);
  bitmap.bytes.set(marked.subarray(0, bitmap.bytes.length));
  return bitmap;
}

function isRange({ iova, length, pageSize }: BitmapRange): boolean {
  const most = BigInt(8 * MAX_DATA) * pageSize;
  return pageSize > 0n && length > 0n && length <= most && iova + length <= 1n << 64n;
}

function need(calls: ReadonlySet<OptionalCall>, call: OptionalCall): void {
  if (!calls.has(call)) throw new DeviceError('ENOTTY', `the device has no ${call}`);
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;
const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
