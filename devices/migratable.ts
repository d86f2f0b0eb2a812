import {
  ARCS,
  arcsOf,
  type CapabilitySet,
  flagsOfCapabilities,
  hasSession,
  inPreCopy,
  inSavingGroup,
  isRunning,
  opensSession,
  requestedPath,
} from 'stopcopy/machines';
import {
  type DataFd,
  type Device,
  DeviceError,
  type DmaLogging,
  type MigState,
  migStateOf,
  type PrecopyBytes,
} from 'stopcopy/uapi';

/** What a device gives while its state is saved. */
export interface SaveSession {
  /** Fills the beginning of `into`, returns how many bytes; 0 when there is nothing more, or not now. */
  read(into: Uint8Array): number;
  /** What there is to read in PRE_COPY. A device without PRE_COPY needs none. */
  precopy?(): { initial: number; dirty: number; reinit?: boolean };
  /** The session has ended. */
  end?(): void;
}

/** What a device takes while its state is restored. */
export interface LoadSession {
  /** Takes bytes and returns how many; nothing returned means all. */
  write(bytes: Uint8Array): number | undefined;
  /** What a write gets after the session has ended; without it, ENODEV. For models of drivers that differ. */
  writeAfterEnd?(bytes: Uint8Array): number | undefined;
  /** The session has ended. */
  end?(): void;
}

/** An arc by its states: `STOP>STOP_COPY`. */
export type ArcName = `${MigState}>${MigState}`;

/**
 * What is to do on each arc; an arc that is not here has nothing to do. An arc that begins a session
 * returns it. By throwing a `DeviceError` an arc fails: nothing may have changed, and the device stays
 * where the arc began; with `fatal`, or any other error, the device is in ERROR.
 */
export type ArcCallbacks = { readonly [A in ArcName]?: (() => SaveSession | LoadSession) | (() => void) };

/**
 * A device that keeps the migration uAPI whatever its arcs do: walks each request by the path rule,
 * answers requests for the present state, ends sessions with their states, tells the temporary from the
 * permanent end of data, and undoes everything on a reset. What is left to the author of a device:
 *
 * - `arcs`: what happens on each arc, and the sessions that some of them begin;
 * - `onReset`, `estimate` of the data size, and the regions.
 *
 * Which arcs there are, and which begin a session, says `stopcopy/machines`; `uart/uart.ts` is an example.
 */
export abstract class MigratableDevice implements Device {
  readonly flags: number;
  readonly offersReset = true;
  readonly dmaLogging: DmaLogging | null = null;
  protected abstract readonly arcs: ArcCallbacks;
  #state: MigState = 'RUNNING';
  #fd: SessionFd | null = null;
  #precopyInfoV2 = false;
  #arcsAreChecked = false;

  constructor(
    readonly name: string,
    readonly capabilities: CapabilitySet,
  ) {
    this.flags = flagsOfCapabilities(capabilities);
  }

  /** Puts the device itself into the state after power-on. Whether DMA logging goes on is the author's choice. */
  protected abstract onReset(): void;
  /** Estimated bytes of a STOP_COPY, in whatever state the device is. */
  protected abstract estimate(): number;
  abstract readRegion(region: number, offset: number, size: number): Uint8Array;
  abstract writeRegion(region: number, offset: number, bytes: Uint8Array): void;

  /** The device may change itself and memory. On an arc, still the state that the arc leaves. */
  protected get isRunning(): boolean {
    return isRunning(this.#state);
  }

  setState(to: MigState | number): DataFd | null {
    this.#checkArcs();
    const wanted = typeof to === 'number' ? migStateOf(to) : to;
    const path = wanted === undefined ? null : requestedPath(this.#state, wanted, this.capabilities);
    if (path === null)
      throw new DeviceError('EINVAL', `${this.name} has no way from ${this.#state} to ${to}`);
    let fd: DataFd | null = null;
    for (const hop of path) fd = this.#walk(hop);
    return fd;
  }

  getState(): MigState {
    return this.#state;
  }

  dataSize(): bigint {
    return BigInt(this.estimate());
  }

  optInPrecopyInfoV2(): void {
    if (!this.capabilities.preCopy) throw new DeviceError('ENOTTY', `${this.name} has no PRE_COPY`);
    this.#precopyInfoV2 = true;
  }

  reset(): void {
    this.onReset();
    this.#endSession();
    this.#state = 'RUNNING';
  }

  /** Walks one arc; a failure leaves the device where the arc began, or in ERROR. */
  #walk(to: MigState): DataFd | null {
    const from = this.#state;
    let session: SaveSession | LoadSession | undefined;
    try {
      session = this.arcs[`${from}>${to}`]?.() ?? undefined;
    } catch (error) {
      throw this.#failure(from, to, error);
    }
    const opens = opensSession(from, to);
    if (opens !== (session !== undefined))
      throw new TypeError(`${this.name}: ${from}>${to} must ${opens ? '' : 'not '}return a session`);
    if (hasSession(from) && !(inSavingGroup(from) && inSavingGroup(to))) this.#endSession();
    this.#state = to;
    if (session === undefined) return null;
    this.#fd = new SessionFd(session, {
      name: this.name,
      inPreCopy: () => inPreCopy(this.#state),
      hasPreCopy: this.capabilities.preCopy,
      precopyInfoV2: () => this.#precopyInfoV2,
    });
    return this.#fd;
  }

  #failure(from: MigState, to: MigState, error: unknown): DeviceError {
    const known = error instanceof DeviceError;
    if (!known || error.fatal) {
      this.#endSession();
      this.#state = 'ERROR';
    }
    return known
      ? error
      : new DeviceError('EIO', `${this.name}: ${from}>${to} has crashed`, { cause: error });
  }

  #endSession(): void {
    this.#fd?.end();
    this.#fd = null;
  }

  /** Names the arcs that do not exist, and those of this device that lack a session: once, before the first. */
  #checkArcs(): void {
    if (this.#arcsAreChecked) return;
    const named = Object.keys(this.arcs);
    const wrong = named.filter((name) => !ARCS.some(({ from, to }) => name === `${from}>${to}`));
    if (wrong.length > 0) throw new TypeError(`${this.name}: there is no arc ${wrong.join(', ')}`);
    const missing = arcsOf(this.capabilities)
      .filter(({ from, to }) => opensSession(from, to) && !this.arcs[`${from}>${to}`])
      .map(({ from, to }) => `${from}>${to}`);
    if (missing.length > 0) throw new TypeError(`${this.name}: no session for ${missing.join(', ')}`);
    this.#arcsAreChecked = true;
  }
}

/** What an fd has to know about its device. */
interface Owner {
  readonly name: string;
  readonly hasPreCopy: boolean;
  inPreCopy(): boolean;
  precopyInfoV2(): boolean;
}

/** The data_fd of a session. It outlives the session, as a file does, and then gives errors. */
class SessionFd implements DataFd {
  readonly #session: SaveSession | LoadSession;
  readonly #owner: Owner;
  #alive = true;
  #closed = false;
  #atEnd = false;

  constructor(session: SaveSession | LoadSession, owner: Owner) {
    this.#session = session;
    this.#owner = owner;
  }

  read(into: Uint8Array): number {
    const session = this.#open();
    if (!('read' in session)) throw this.#error('EBADF', 'the data_fd is for writing');
    this.#checkAlive();
    if (into.length === 0 || this.#atEnd) return 0;
    const size = checkSize(session.read(into), into.length);
    if (size > 0) return size;
    if (this.#owner.inPreCopy()) throw this.#error('ENOMSG', 'there is no more data for now');
    this.#atEnd = true;
    return 0;
  }

  write(bytes: Uint8Array): number {
    const session = this.#open();
    if (!('write' in session)) throw this.#error('EBADF', 'the data_fd is for reading');
    if (bytes.length === 0 && this.#alive) return 0;
    const late = !this.#alive && session.writeAfterEnd !== undefined;
    if (!late) this.#checkAlive();
    const taken = late ? session.writeAfterEnd!(bytes) : session.write(bytes);
    return checkSize(taken ?? bytes.length, bytes.length);
  }

  precopyInfo(): PrecopyBytes {
    const session = this.#open();
    if (!this.#owner.hasPreCopy || !('read' in session))
      throw this.#error('ENOTTY', 'there is no precopy info');
    if (!this.#owner.inPreCopy()) throw this.#error('EINVAL', 'precopy info is for the PRE_COPY states');
    this.#checkAlive();
    const { initial, dirty, reinit = false } = session.precopy?.() ?? { initial: 0, dirty: 0 };
    const both = { initial: BigInt(initial), dirty: BigInt(dirty) };
    return this.#owner.precopyInfoV2() ? { ...both, reinit } : both;
  }

  close(): void {
    this.#open();
    this.#closed = true;
  }

  /** The state that the session belongs to was left. */
  end(): void {
    this.#alive = false;
    this.#session.end?.();
  }

  #open(): SaveSession | LoadSession {
    if (this.#closed) throw this.#error('EBADF', 'the data_fd is closed');
    return this.#session;
  }

  #checkAlive(): void {
    if (!this.#alive) throw this.#error('ENODEV', 'the session of the data_fd has ended');
  }

  #error(code: string, words: string): DeviceError {
    return new DeviceError(code, `${this.#owner.name}: ${words}`);
  }
}

/** What a session says it has moved. */
function checkSize(moved: number, most: number): number {
  if (Number.isInteger(moved) && moved >= 0 && moved <= most) return moved;
  throw new TypeError(`a session has moved ${moved} of ${most} bytes`);
}
