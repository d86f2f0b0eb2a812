import { type CapabilitySet, capabilitiesOfFlags, requestedPath } from '../machines/index.js';
import { type DataFd, type Device, DeviceError, type DmaLogging } from '../uapi/device.js';
import { MIGRATION_FLAGS, type MigState, migStateOf } from '../uapi/vfio.js';

/** The P2P states, which vfio-user does not use, by the states that stand for them. */
const SHOWN_AS: Partial<Record<MigState, MigState>> = {
  RUNNING_P2P: 'RUNNING',
  PRE_COPY_P2P: 'PRE_COPY',
};

/**
 * A device as vfio-user shows it: without the P2P states. Each request goes through to the device, which passes
 * its P2P states on the way as ever; requests for one of them are refused.
 *
 * An arc of the device may fail and leave it in a P2P state. For the client that was an arc between two other
 * states, such as RUNNING to STOP, and a failed arc leaves a device where the arc began: so it is asked to go
 * back there, once. Where it does not, it is shown as RUNNING or PRE_COPY, which is what it does but for peer to
 * peer DMA; it is never shown as stopped while it is not.
 */
export function withoutP2p(device: Device): Device {
  return (device.flags & MIGRATION_FLAGS.P2P) === 0 ? device : new WithoutP2p(device);
}

class WithoutP2p implements Device {
  readonly name: string;
  readonly flags: number;
  readonly offersReset: boolean;
  readonly dmaLogging: DmaLogging | null;
  readonly #device: Device;
  readonly #shown: CapabilitySet;

  constructor(device: Device) {
    this.#device = device;
    this.name = device.name;
    this.flags = device.flags & ~MIGRATION_FLAGS.P2P;
    this.offersReset = device.offersReset;
    this.dmaLogging = device.dmaLogging;
    this.#shown = capabilitiesOfFlags(this.flags);
  }

  async setState(wanted: MigState | number): Promise<DataFd | null> {
    const to = typeof wanted === 'number' ? (migStateOf(wanted) ?? wanted) : wanted;
    if (typeof to === 'string' && SHOWN_AS[to] !== undefined)
      throw new DeviceError('EINVAL', `${this.name}: vfio-user does not use ${to}`);
    const from = await this.getState();
    try {
      return await this.#device.setState(to);
    } catch (error) {
      if (error instanceof DeviceError && typeof to === 'string') await this.#goBack(from, to);
      throw error;
    }
  }

  async getState(): Promise<MigState> {
    const state = await this.#device.getState();
    return SHOWN_AS[state] ?? state;
  }

  dataSize() {
    return this.#device.dataSize();
  }

  optInPrecopyInfoV2() {
    return this.#device.optInPrecopyInfoV2();
  }

  reset() {
    return this.#device.reset();
  }

  readRegion(region: number, offset: number, size: number) {
    return this.#device.readRegion(region, offset, size);
  }

  writeRegion(region: number, offset: number, bytes: Uint8Array) {
    return this.#device.writeRegion(region, offset, bytes);
  }

  /** After a failure in a P2P state: back to where the arc began that the client knows of. */
  async #goBack(from: MigState, to: MigState): Promise<void> {
    try {
      const state = await this.#device.getState();
      if (SHOWN_AS[state] === undefined) return;
      await this.#device.setState(this.#arcStart(from, to, state));
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
    }
  }

  #arcStart(from: MigState, to: MigState, state: MigState): MigState {
    const running = SHOWN_AS[state]!;
    const states = [from, ...(requestedPath(from, to, this.#shown) ?? [])];
    const at = states.indexOf(running);
    // RUNNING_P2P was on the way up when the path comes from STOP, and on the way down when it goes there.
    return at > 0 && states[at - 1] === 'STOP' ? 'STOP' : running;
  }
}
