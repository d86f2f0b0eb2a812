import type { Channel } from '../transport/index.js';
import { type Device, DeviceError } from '../uapi/device.js';
import { ERRNO } from '../uapi/errno.js';
import { FEATURE_FLAGS } from '../uapi/vfio.js';
import {
  VFIO_USER_COMMANDS,
  type VfioUserCommand,
  VfioUserDeviceFeature,
  vfioUserCommand,
} from '../uapi/vfio-user.js';
import { VFIO_USER_DMA_FLAGS, VfioUserDmaAccess } from '../uapi/vfio-user-device.js';
import {
  decodeVfioUserCapabilities,
  encodeVfioUserVersion,
  VFIO_USER_DEFAULTS,
  VFIO_USER_VERSION,
  type VfioUserCapabilities,
} from '../uapi/vfio-user-version.js';
import { type Dialect, SPECIFICATION } from './dialect.js';
import { DmaMaps, MOST_DMA_MAPS } from './dma-maps.js';
import type { VfioUserError } from './error.js';
import type { FrameError, VfioUserMessage } from './frames.js';
import { nameOf, Peer } from './peer.js';
import { deviceCommands } from './server-device.js';
import { FeatureCommand } from './server-feature.js';
import { MigrationData } from './server-migration.js';
import { withoutP2p } from './without-p2p.js';

/** DMA of the device: messages to the client, which holds the memory. Addresses are exact as numbers. */
export interface ServerDma {
  /** @throws DeviceError when the range is not mapped, the client refuses, or is gone */
  read(iova: number, length: number): Promise<Uint8Array>;
  write(iova: number, bytes: Uint8Array): Promise<void>;
}

/** What a server has to know of the device that it serves. */
export interface ServedDevice {
  readonly device: Device;
  /** Sizes of the regions by VFIO index; 0: there is none. */
  readonly regions: readonly number[];
  /** Numbers of interrupts by VFIO index. */
  readonly irqs: readonly number[];
  /** A client is there, whose memory the device may reach; null when it is gone. */
  attach?(dma: ServerDma | null): void;
}

/** What a server serves, and within which bounds. */
export interface ServerOptions {
  /** Default: the specification. */
  readonly dialect?: Dialect;
  /** How long the reply to a DMA message is waited for, in milliseconds; default 5000. */
  readonly timeout?: number;
  /** The version was agreed on. */
  onClient?(): void;
  /** Hears of each command that was carried out, with its errno or 0. */
  onCommand?(name: string, errno: number): void;
}

/** A command carried out: returns the payload of the reply. */
export type Command = (payload: Uint8Array) => Uint8Array | Promise<Uint8Array>;

type DmaCommand = 'DMA_READ' | 'DMA_WRITE';

const NONE = new Uint8Array();
/** What this server takes. It has no use for descriptors. */
const OWN: VfioUserCapabilities = {
  ...VFIO_USER_DEFAULTS,
  maxMsgFds: 0,
  maxDmaMaps: MOST_DMA_MAPS,
  writeMultiple: true,
};

/**
 * Serves a client over a channel, until one of both closes it. The device is what the last client has left: who
 * serves one after another resets it in between, as the uAPI's close and open do. A malformed command gets an
 * error reply; after a header that cannot be, the connection is closed.
 * @returns why it has ended, in words for people
 * @throws what the device fails with, but for `DeviceError`
 */
export async function serveVfioUser(
  channel: Channel,
  served: ServedDevice,
  options: ServerOptions = {},
): Promise<VfioUserError> {
  const connection = new ServerConnection(channel, served, options);
  return connection.ended;
}

class ServerConnection {
  readonly ended: Promise<VfioUserError>;
  readonly #peer: Peer;
  readonly #served: ServedDevice;
  readonly #device: Device;
  readonly #options: ServerOptions;
  readonly #dialect: Dialect;
  readonly #maps = new DmaMaps();
  readonly #feature: FeatureCommand;
  readonly #migration: MigrationData;
  readonly #commands: Partial<Record<VfioUserCommand, Command>>;
  #client: VfioUserCapabilities | null = null;
  #crash: { readonly error: unknown } | null = null;

  constructor(channel: Channel, served: ServedDevice, options: ServerOptions) {
    this.#served = served;
    this.#device = withoutP2p(served.device);
    this.#options = options;
    this.#dialect = options.dialect ?? SPECIFICATION;
    const maxData = () => Math.min(this.#client?.maxDataXferSize ?? 0, OWN.maxDataXferSize);
    const shared = { device: this.#device, maps: this.#maps, dialect: this.#dialect, maxData };
    const migration = new MigrationData(shared);
    this.#migration = migration;
    this.#feature = new FeatureCommand(shared, migration);
    this.#commands = {
      VERSION: (payload) => this.#negotiate(payload),
      ...deviceCommands(shared, served),
      DEVICE_FEATURE: (payload) => this.#feature.run(payload),
      MIG_DATA_READ: (payload) => migration.read(payload),
      MIG_DATA_WRITE: (payload) => migration.write(payload),
    };
    this.#peer = new Peer(channel, {
      maxData: OWN.maxDataXferSize,
      timeout: options.timeout ?? 5000,
      command: (message) => this.#serve(message),
      broken: (error) => this.#broken(error),
    });
    this.ended = this.#end();
  }

  async #end(): Promise<VfioUserError> {
    await this.#peer.ended;
    this.#served.attach?.(null);
    if (this.#crash !== null) throw this.#crash.error;
    await this.#feature.stopLogging();
    await this.#migration.close();
    return this.#peer.failure!;
  }

  async #serve(message: VfioUserMessage): Promise<void> {
    const { head, payload } = message;
    const name = vfioUserCommand(head.command);
    const result = await this.#carryOut(name, head.command, payload);
    this.#options.onCommand?.(nameOf(head.command), result.errno);
    await this.#peer.reply(message, result.answer, result.errno);
    // Without an agreement there is nothing to talk about.
    if (this.#client === null) await this.#peer.finish();
  }

  async #carryOut(
    name: VfioUserCommand | undefined,
    number: number,
    payload: Uint8Array,
  ): Promise<{ answer: Uint8Array; errno: number }> {
    try {
      const command = name && this.#commands[name];
      if ((name === 'VERSION') !== (this.#client === null))
        throw new DeviceError('EINVAL', `${nameOf(number)}: VERSION comes first, and once`);
      if (name === undefined || command === undefined)
        throw new DeviceError('EINVAL', `${nameOf(number)} is no command for a server`);
      await this.#admit(name);
      return { answer: await command(payload), errno: 0 };
    } catch (error) {
      if (!(error instanceof DeviceError)) throw this.#crashed(error);
      const echoes = this.#dialect.echoesErrors && isSet(number, payload);
      return { answer: echoes ? payload : NONE, errno: error.errno };
    }
  }

  #crashed(error: unknown): unknown {
    this.#crash ??= { error };
    return error;
  }

  async #admit(name: VfioUserCommand): Promise<void> {
    const { admission } = this.#dialect;
    if (admission === null || admission.commands.includes(name)) return;
    const state = await this.#device.getState();
    if (admission.states.includes(state)) throw new DeviceError('EINVAL', `${name} is not taken in ${state}`);
  }

  #negotiate(payload: Uint8Array): Uint8Array {
    let said: ReturnType<typeof decodeVfioUserCapabilities>;
    try {
      said = decodeVfioUserCapabilities(payload);
    } catch (error) {
      throw new DeviceError('EINVAL', (error as Error).message);
    }
    if (said.major !== VFIO_USER_VERSION.major)
      throw new DeviceError('EINVAL', `the client speaks version ${said.major}.${said.minor}`);
    this.#client = said.capabilities;
    this.#served.attach?.({
      read: (iova, length) => this.#dmaRead(iova, length),
      write: (iova, bytes) => this.#dmaWrite(iova, bytes),
    });
    this.#options.onClient?.();
    const minor = Math.min(said.minor, VFIO_USER_VERSION.minor);
    const own = { ...OWN, maxDataXferSize: Math.min(OWN.maxDataXferSize, this.#dialect.maxData) };
    return encodeVfioUserVersion({ ...VFIO_USER_VERSION, minor }, own);
  }

  async #broken(error: FrameError): Promise<void> {
    await this.#peer.reply(error, NONE, ERRNO.EINVAL);
    this.#peer.fail(error.message);
  }

  async #dmaRead(iova: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    for (const { at, count, head } of this.#pieces('DMA_READ', iova, length)) {
      const data = (await this.#ask('DMA_READ', head)).subarray(VfioUserDmaAccess.size);
      if (data.length < count)
        throw new DeviceError('EFAULT', `the client has read ${data.length} bytes of ${count}`);
      bytes.set(data.subarray(0, count), at);
    }
    return bytes;
  }

  async #dmaWrite(iova: number, bytes: Uint8Array): Promise<void> {
    for (const { at, count, head } of this.#pieces('DMA_WRITE', iova, bytes.length))
      await this.#ask('DMA_WRITE', Buffer.concat([head, bytes.subarray(at, at + count)]));
  }

  /** The messages of a transfer, by their heads. @throws DeviceError EFAULT when the device may not do it */
  *#pieces(
    command: DmaCommand,
    iova: number,
    length: number,
  ): Generator<{ at: number; count: number; head: Uint8Array }> {
    const flag = command === 'DMA_READ' ? VFIO_USER_DMA_FLAGS.READ : VFIO_USER_DMA_FLAGS.WRITE;
    if (!this.#maps.allows(BigInt(iova), BigInt(length), flag))
      throw new DeviceError('EFAULT', `0x${iova.toString(16)} is not mapped for ${command}`);
    const most = Math.min(this.#client?.maxDataXferSize ?? 0, OWN.maxDataXferSize);
    if (most === 0) throw new DeviceError('EFAULT', 'the client takes no data');
    for (let at = 0; at < length; at += most) {
      const count = Math.min(most, length - at);
      yield { at, count, head: VfioUserDmaAccess.encode({ addr: BigInt(iova + at), count: BigInt(count) }) };
    }
  }

  async #ask(command: DmaCommand, payload: Uint8Array): Promise<Uint8Array> {
    let reply: VfioUserMessage;
    try {
      reply = await this.#peer.request(VFIO_USER_COMMANDS[command], payload);
    } catch (error) {
      throw new DeviceError('EFAULT', (error as Error).message);
    }
    if (!reply.head.failed) return reply.payload;
    throw new DeviceError('EFAULT', `the client refuses ${command} (errno ${reply.head.errno})`);
  }
}

/** Whether a message is a SET of DEVICE_FEATURE. */
function isSet(command: number, payload: Uint8Array): boolean {
  if (command !== VFIO_USER_COMMANDS.DEVICE_FEATURE || payload.length < VfioUserDeviceFeature.size)
    return false;
  return (VfioUserDeviceFeature.decode(payload).flags & FEATURE_FLAGS.SET) !== 0;
}
