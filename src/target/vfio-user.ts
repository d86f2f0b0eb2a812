import { type Channel, connect, type MigrationUri, parseUri, TransportError } from '../transport/index.js';
import { type Device, DeviceError } from '../uapi/device.js';
import type { OptionalCall } from '../uapi/optional-call.js';
import { VFIO_USER_DMA_FLAGS } from '../uapi/vfio-user-device.js';
import {
  DIALECTS,
  type Dialect,
  dialectNamed,
  SPECIFICATION,
  SparseMemory,
  VfioUserClient,
  VfioUserError,
  vfioUserDevice,
} from '../vfio-user/index.js';
import { type OpenOptions, type Target, TargetError } from './target.js';

/** How a vfio-user server is spoken to. */
export interface VfioUserTargetOptions {
  /** Default: the specification; the URI's `?dialect=` says otherwise. */
  readonly dialect?: Dialect;
  /** How long a reply is waited for, in milliseconds; default 5000. The URI's `?timeout=` says otherwise. */
  readonly timeout?: number;
}

const KIND = 'vfio-user:';
const FORM = 'expected vfio-user:/path.sock[?dialect=NAME][&timeout=MS]';
/** Calls that the protocol has no message for. */
const NEVER: readonly OptionalCall[] = ['data_size', 'precopy_info', 'precopy_info_v2'];
/** Memory that the device may reach, from address 0; it takes room only where the device writes. */
const MEMORY = 16 << 20;

/**
 * The device of a vfio-user server: `vfio-user:/path.sock`, also `vfio-user:tcp:HOST:PORT`, with the options
 * `dialect` (`specification` or `libvfio-user`) and `timeout` (milliseconds) behind a question mark.
 * @throws TargetError when the URI is none
 */
export function vfioUserTarget(uri: string, options: VfioUserTargetOptions = {}): Target {
  return new VfioUserTarget(uri, options);
}

class VfioUserTarget implements Target {
  readonly uri: string;
  readonly guest = null;
  readonly #to: MigrationUri;
  readonly #dialect: Dialect;
  readonly #timeout: number | undefined;
  #lacks: ReadonlySet<OptionalCall> = new Set(NEVER);
  #client: VfioUserClient | null = null;

  constructor(uri: string, options: VfioUserTargetOptions) {
    this.uri = uri;
    const [address = '', query = ''] = uri.slice(KIND.length).split('?', 2);
    if (!uri.startsWith(KIND) || address === '') throw new TargetError(`${uri}: ${FORM}`);
    const said = new URLSearchParams(query);
    for (const name of said.keys())
      if (name !== 'dialect' && name !== 'timeout')
        throw new TargetError(`${uri}: no option is called ${name}; there are dialect and timeout`);
    this.#to = addressOf(uri, address);
    this.#dialect = dialectOf(uri, said.get('dialect')) ?? options.dialect ?? SPECIFICATION;
    this.#timeout = timeoutOf(uri, said.get('timeout')) ?? options.timeout;
  }

  get profile(): string | undefined {
    return this.#dialect.profile;
  }

  get lacks(): ReadonlySet<OptionalCall> {
    return this.#lacks;
  }

  async open({ dmaWrite }: OpenOptions = {}): Promise<Device> {
    if (this.#client !== null) throw new TargetError(`${this.uri} is open already`);
    const memory = new SparseMemory(0, MEMORY);
    if (dmaWrite !== undefined) memory.onWrite = dmaWrite;
    const client = await this.#connect(memory);
    try {
      const device = await vfioUserDevice(client, this.uri);
      await mapMemory(client, memory);
      this.#lacks = lacksOf(device);
      this.#client = client;
      return device;
    } catch (error) {
      client.close();
      throw this.#targetError(error);
    }
  }

  async close(): Promise<void> {
    this.#client?.close();
    this.#client = null;
  }

  async #connect(memory: SparseMemory): Promise<VfioUserClient> {
    const timeout = this.#timeout === undefined ? {} : { timeout: this.#timeout };
    let channel: Channel;
    try {
      channel = await connect(this.#to);
    } catch (error) {
      throw this.#targetError(error);
    }
    try {
      return await VfioUserClient.connect(channel, { dialect: this.#dialect, memory, ...timeout });
    } catch (error) {
      const { message } = this.#targetError(error);
      throw new TargetError(`${message}; is a vfio-user server there, and free?`);
    }
  }

  #targetError(error: unknown): Error {
    if (error instanceof TransportError) return new TargetError(this.#words(error));
    if (error instanceof VfioUserError) return new TargetError(error.message);
    if (error instanceof DeviceError)
      return new TargetError(`${this.uri}: ${error.message}, so the device cannot be used`);
    return error as Error;
  }

  #words({ code, message }: TransportError): string {
    const what: Partial<Record<string, string>> = {
      ENOENT: 'there is no such socket; start the server first',
      EACCES: 'the socket may not be opened; ask as the user that has started the server',
      ECONNREFUSED: 'nobody listens at this socket; start the server again',
    };
    const words = code === undefined ? undefined : what[code];
    return words === undefined ? message : `${this.uri}: ${words}`;
  }
}

function addressOf(uri: string, address: string): MigrationUri {
  try {
    const to = parseUri(/^(tcp|unix):/.test(address) ? address : `unix:${address}`);
    if (to.kind === 'unix' || to.kind === 'tcp') return to;
  } catch (error) {
    if (error instanceof TransportError) throw new TargetError(`${uri}: ${error.message}`);
    throw error;
  }
  throw new TargetError(`${uri}: ${FORM}`);
}

function dialectOf(uri: string, name: string | null): Dialect | undefined {
  if (name === null) return undefined;
  const dialect = dialectNamed(name);
  if (dialect !== undefined) return dialect;
  const names = DIALECTS.map((each) => each.name).join(', ');
  throw new TargetError(`${uri}: no dialect is called ${name}; there are ${names}`);
}

function timeoutOf(uri: string, text: string | null): number | undefined {
  if (text === null) return undefined;
  const value = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  if (value > 0) return value;
  throw new TargetError(`${uri}: timeout is a number of milliseconds from 1 to 9999999, not ${text}`);
}

/** A server without DMA may refuse: its device then has none. */
async function mapMemory(client: VfioUserClient, { start, size }: SparseMemory): Promise<void> {
  const flags = VFIO_USER_DMA_FLAGS.READ | VFIO_USER_DMA_FLAGS.WRITE;
  try {
    await client.dmaMap({ addr: BigInt(start), size: BigInt(size), flags });
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
  }
}

function lacksOf({ offersReset, dmaLogging }: Device): ReadonlySet<OptionalCall> {
  return new Set<OptionalCall>([
    ...NEVER,
    ...(offersReset ? [] : ['reset' as const]),
    ...(dmaLogging === null ? ['dma_logging' as const] : []),
  ]);
}
