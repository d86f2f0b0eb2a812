import type { Channel } from '../transport/index.js';
import { DeviceError, type IoAddressSpace } from '../uapi/device.js';
import { ERRNO, errnoName } from '../uapi/errno.js';
import type { ValueOf } from '../uapi/struct.js';
import { FEATURE_FLAGS } from '../uapi/vfio.js';
import {
  decodeVfioUserMigData,
  VFIO_USER_COMMANDS,
  VfioUserDeviceFeature,
  VfioUserMigData,
} from '../uapi/vfio-user.js';
import {
  VfioUserDeviceInfo,
  VfioUserDmaAccess,
  VfioUserDmaMap,
  VfioUserDmaUnmap,
  VfioUserIrqInfo,
  VfioUserRegionAccess,
  VfioUserRegionInfo,
} from '../uapi/vfio-user-device.js';
import {
  decodeVfioUserCapabilities,
  encodeVfioUserVersion,
  VFIO_USER_DEFAULTS,
  VFIO_USER_VERSION,
  type VfioUserCapabilities,
} from '../uapi/vfio-user-version.js';
import { type Dialect, SPECIFICATION } from './dialect.js';
import { VfioUserError } from './error.js';
import type { VfioUserMessage } from './frames.js';
import { nameOf, Peer } from './peer.js';

const COMMANDS = VFIO_USER_COMMANDS;
const NONE = new Uint8Array();
/** An address from here on is not exact as a number; nothing is mapped there. */
const END = 1n << 53n;

/** How a client speaks to its server. */
export interface ClientOptions {
  /** Default: the specification. */
  readonly dialect?: Dialect;
  /** How long a reply is waited for, in milliseconds; default 5000. */
  readonly timeout?: number;
  /** Memory that the device reaches by DMA messages; without it each of them is refused. */
  readonly memory?: IoAddressSpace;
}

/**
 * A client of a vfio-user server, without descriptors: all that it moves goes through messages. Commands are sent
 * one at a time, as servers that do DMA on the same socket need it; commands of the server are answered at any
 * time. Every method fails with a `DeviceError` when the server refuses, and with a `VfioUserError` when the
 * connection is of no use any more.
 */
export class VfioUserClient {
  readonly dialect: Dialect;
  readonly #peer: Peer;
  readonly #memory: IoAddressSpace | undefined;
  #server: VfioUserCapabilities = VFIO_USER_DEFAULTS;
  /** The command that is on its way. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(channel: Channel, { dialect = SPECIFICATION, timeout = 5000, memory }: ClientOptions) {
    this.dialect = dialect;
    this.#memory = memory;
    this.#peer = new Peer(channel, {
      maxData: dialect.maxData,
      timeout,
      command: (message) => this.#serve(message),
    });
  }

  /**
   * Agrees on a version over a new channel, which is closed where that fails.
   * @throws VfioUserError when the other side is no server of vfio-user, or refuses
   */
  static async connect(channel: Channel, options: ClientOptions = {}): Promise<VfioUserClient> {
    const client = new VfioUserClient(channel, options);
    try {
      await client.#negotiate();
      return client;
    } catch (error) {
      client.close();
      if (!(error instanceof DeviceError)) throw error;
      throw new VfioUserError(`${channel.name}: the server refuses the connection (${error.code})`);
    }
  }

  /** What the server can take. */
  get server(): VfioUserCapabilities {
    return this.#server;
  }

  /** Bytes of data that a message may carry, either way. */
  get maxData(): number {
    return Math.min(this.dialect.maxData, this.#server.maxDataXferSize);
  }

  /** Why the connection has ended; null while it lives. */
  get failure(): VfioUserError | null {
    return this.#peer.failure;
  }

  close(): void {
    this.#peer.close();
  }

  /** Sends any command and returns the payload of its reply. */
  call(command: number, payload: Uint8Array = NONE): Promise<Uint8Array> {
    const turn = this.#turn.then(async () => {
      const { head, payload: answer } = await this.#peer.request(command, payload);
      if (!head.failed) return answer;
      // An error may be told without its number.
      const code = head.errno === 0 ? 'EIO' : errnoName(head.errno);
      throw new DeviceError(code in ERRNO ? code : 'EIO', `the server refuses ${nameOf(command)}`);
    });
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async deviceInfo(): Promise<ValueOf<typeof VfioUserDeviceInfo>> {
    const ask = { argsz: VfioUserDeviceInfo.size, flags: 0, num_regions: 0, num_irqs: 0 };
    const answer = await this.call(COMMANDS.DEVICE_GET_INFO, VfioUserDeviceInfo.encode(ask));
    return this.#read('DEVICE_GET_INFO', () => VfioUserDeviceInfo.decode(answer));
  }

  /** Without the capabilities of the region, which are of use only with descriptors. */
  async regionInfo(index: number): Promise<ValueOf<typeof VfioUserRegionInfo>> {
    const ask = { argsz: VfioUserRegionInfo.size, flags: 0, index, cap_offset: 0, size: 0n, offset: 0n };
    const answer = await this.call(COMMANDS.DEVICE_GET_REGION_INFO, VfioUserRegionInfo.encode(ask));
    return this.#read('DEVICE_GET_REGION_INFO', () => VfioUserRegionInfo.decode(answer));
  }

  async irqInfo(index: number): Promise<ValueOf<typeof VfioUserIrqInfo>> {
    const ask = { argsz: VfioUserIrqInfo.size, flags: 0, index, count: 0 };
    const answer = await this.call(COMMANDS.DEVICE_GET_IRQ_INFO, VfioUserIrqInfo.encode(ask));
    return this.#read('DEVICE_GET_IRQ_INFO', () => VfioUserIrqInfo.decode(answer));
  }

  /** Lets the device reach a range, by messages. `flags`: `VFIO_USER_DMA_FLAGS`. */
  async dmaMap({ addr, size, flags }: { addr: bigint; size: bigint; flags: number }): Promise<void> {
    const ask = { argsz: VfioUserDmaMap.size, flags, offset: 0n, addr, size };
    await this.call(COMMANDS.DMA_MAP, VfioUserDmaMap.encode(ask));
  }

  async dmaUnmap({ addr, size }: { addr: bigint; size: bigint }): Promise<void> {
    const ask = { argsz: VfioUserDmaUnmap.size, flags: 0, addr, size };
    await this.call(COMMANDS.DMA_UNMAP, VfioUserDmaUnmap.encode(ask));
  }

  async reset(): Promise<void> {
    await this.call(COMMANDS.DEVICE_RESET);
  }

  /** Reads from a region, in as many messages as are needed. */
  async regionRead(region: number, offset: number, size: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size || at === 0; ) {
      const count = Math.min(size - at, this.#piece('region'));
      const ask = VfioUserRegionAccess.encode({ offset: BigInt(offset + at), region, count });
      const answer = await this.call(COMMANDS.REGION_READ, ask);
      bytes.set(this.#data('REGION_READ', answer, VfioUserRegionAccess.size, count), at);
      at += Math.max(count, 1);
    }
    return bytes;
  }

  /** Writes to a region, in as many messages as are needed. */
  async regionWrite(region: number, offset: number, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length || at === 0; ) {
      const part = bytes.subarray(at, at + this.#piece('region'));
      const head = VfioUserRegionAccess.encode({ offset: BigInt(offset + at), region, count: part.length });
      await this.call(COMMANDS.REGION_WRITE, Buffer.concat([head, part]));
      at += Math.max(part.length, 1);
    }
  }

  /**
   * DEVICE_FEATURE: `flags` is the index with GET, SET or PROBE.
   * @param room bytes that the data of the reply may have
   * @returns the data behind the head of the reply
   */
  async feature(flags: number, data: Uint8Array = NONE, room: number = data.length): Promise<Uint8Array> {
    const head = { argsz: VfioUserDeviceFeature.size + Math.max(room, data.length), flags };
    const ask = Buffer.concat([VfioUserDeviceFeature.encode(head), data]);
    const answer = await this.call(COMMANDS.DEVICE_FEATURE, ask);
    this.#read('DEVICE_FEATURE', () => VfioUserDeviceFeature.decode(answer));
    return answer.subarray(VfioUserDeviceFeature.size);
  }

  /** Whether a feature is there. `how`: GET or SET of `FEATURE_FLAGS`. */
  async probe(index: number, how: number): Promise<boolean> {
    try {
      await this.feature(index | how | FEATURE_FLAGS.PROBE);
      return true;
    } catch (error) {
      if (error instanceof DeviceError) return false;
      throw error;
    }
  }

  /** MIG_DATA_READ: at most `size` bytes of device state; empty when there is nothing, now or for good. */
  async migDataRead(size: number): Promise<Uint8Array> {
    const wanted = Math.min(size, this.#piece('migration'));
    const ask = VfioUserMigData.encode({ argsz: VfioUserMigData.size + wanted, size: wanted });
    const answer = await this.call(COMMANDS.MIG_DATA_READ, ask);
    const { data } = this.#read('MIG_DATA_READ', () => decodeVfioUserMigData(answer));
    if (data.length <= wanted) return data;
    return this.#wrong(`MIG_DATA_READ of ${wanted} bytes was answered with ${data.length}`);
  }

  /** MIG_DATA_WRITE. Returns how many bytes were sent: the first of them, as many as a message holds. */
  async migDataWrite(bytes: Uint8Array): Promise<number> {
    const part = bytes.subarray(0, this.#piece('migration'));
    const argsz = VfioUserMigData.size + part.length;
    const head = VfioUserMigData.encode({ argsz, size: part.length });
    await this.call(COMMANDS.MIG_DATA_WRITE, Buffer.concat([head, part]));
    return part.length;
  }

  async #negotiate(): Promise<void> {
    const own = { ...VFIO_USER_DEFAULTS, maxMsgFds: 0, maxDataXferSize: this.dialect.maxData };
    const answer = await this.call(COMMANDS.VERSION, encodeVfioUserVersion(VFIO_USER_VERSION, own));
    const { major, minor, capabilities } = this.#read('VERSION', () => decodeVfioUserCapabilities(answer));
    if (major !== VFIO_USER_VERSION.major || minor > VFIO_USER_VERSION.minor)
      this.#wrong(
        `it speaks version ${major}.${minor}, and here 0.0 to 0.${VFIO_USER_VERSION.minor} is spoken`,
      );
    this.#server = capabilities;
  }

  /** What a reply says. What cannot be read ends the connection: the two sides do not understand each other. */
  #read<T>(what: string, decode: () => T): T {
    try {
      return decode();
    } catch (error) {
      return this.#wrong(`the reply to ${what} cannot be read: ${(error as Error).message}`);
    }
  }

  #data(what: string, answer: Uint8Array, from: number, count: number): Uint8Array {
    if (answer.length >= from + count) return answer.subarray(from, from + count);
    if (count === 0) return NONE;
    return this.#wrong(`${what} of ${count} bytes was answered with ${Math.max(0, answer.length - from)}`);
  }

  #wrong(words: string): never {
    this.#peer.fail(words);
    throw this.#peer.failure;
  }

  /** Bytes that go into a message of this kind. */
  #piece(what: string): number {
    if (this.maxData > 0) return this.maxData;
    return this.#wrong(`its max_data_xfer_size is 0, so there can be no ${what} data`);
  }

  /** A command of the server: DMA. */
  async #serve(message: VfioUserMessage): Promise<void> {
    try {
      await this.#peer.reply(message, this.#dma(message));
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      await this.#peer.reply(message, NONE, error.errno);
    }
  }

  /** @throws DeviceError with the errno that QEMU's client answers with */
  #dma({ head, payload }: VfioUserMessage): Uint8Array {
    const { command } = head;
    if (command !== COMMANDS.DMA_READ && command !== COMMANDS.DMA_WRITE)
      throw new DeviceError('ENOSYS', `a server has no ${nameOf(command)}`);
    if (payload.length < VfioUserDmaAccess.size) throw new DeviceError('EINVAL', 'the message is too short');
    const { addr, count } = VfioUserDmaAccess.decode(payload);
    if (count > BigInt(this.dialect.maxData)) throw new DeviceError('E2BIG', `${count} bytes in one message`);
    if (this.#memory === undefined || addr + count > END)
      throw new DeviceError('ENODEV', `nothing is mapped at 0x${addr.toString(16)}`);
    const length = Number(count);
    const data = payload.subarray(VfioUserDmaAccess.size);
    if (command === COMMANDS.DMA_WRITE && data.length !== length)
      throw new DeviceError('EINVAL', `${length} bytes are announced, and ${data.length} have come`);
    return this.#move(Number(addr), length, command === COMMANDS.DMA_WRITE ? data : null);
  }

  #move(addr: number, length: number, data: Uint8Array | null): Uint8Array {
    const head = VfioUserDmaAccess.encode({ addr: BigInt(addr), count: BigInt(length) });
    const bytes = data ?? new Uint8Array(length);
    try {
      if (data === null) this.#memory?.read(addr, bytes);
      else this.#memory?.write(addr, bytes);
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      throw new DeviceError('ENODEV', error.message);
    }
    return data === null ? Buffer.concat([head, bytes]) : head;
  }
}
