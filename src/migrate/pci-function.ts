import type { BodyParser } from '../stream/index.js';
import { DeviceError } from '../uapi/device.js';
import { MSIX_CONTROL, MSIX_ENTRY, PCI_CONFIG, VFIO_PCI_CONFIG_REGION } from '../uapi/pci.js';
import {
  loadVmState,
  type PciDeviceTarget,
  pbaBytes,
  pciDeviceState,
  saveVmState,
} from '../vmstate/index.js';
import type { MachineDevice, PciIdentity } from './machine.js';
import { Msix, type MsixMessage, type MsixOutcome } from './msix.js';
import { CONFIG_SIZE, type PciBar, PciConfigSpace } from './pci-config.js';

/** Where a mock device says nothing of itself. */
const UNNAMED: PciIdentity = { vendor: 0, device: 0, classCode: 0xff0000 };
/** Version of PCIDevice in the streams that are written. */
const PCI_DEVICE_VERSION = 2;

/**
 * The VMM's side of a VFIO PCI device: the configuration space that the guest sees, and its MSI-X. Both cross as
 * the vmstate behind DEV_CONFIG_STATE, and not as state of the device: on the destination they are put into the
 * device by writes to its configuration space, as the guest has written them on the source.
 */
export class PciFunction {
  readonly name: string;
  /** Undefined without MSI-X. */
  readonly msix: Msix | undefined;
  /** Takes the messages of the device: writes to the interrupt controller, not to RAM. */
  deliver: (message: MsixMessage) => void = () => {};
  readonly #device: MachineDevice['device'];
  readonly #config: PciConfigSpace;
  readonly #shape: { readonly configSize: 4096; readonly msixVectors: number };
  /** Levels of the INTx lines: a VF has none. */
  readonly #irqState = [0, 0, 0, 0];
  /** What the device is still to be told of the writes of vCPUs, and the first of them that it has refused. */
  #passing: Promise<void> = Promise.resolve();
  #refusal: { readonly error: unknown } | null = null;

  /** @throws RangeError when the BARs cannot be, or have no room for the MSI-X table */
  constructor(
    { device, pci }: { device: MachineDevice['device']; pci: MachineDevice['pci'] },
    identity: PciIdentity = pci.identity ?? UNNAMED,
  ) {
    const { msixVectors: vectors, bars } = pci;
    this.name = device.name;
    this.#device = device;
    const msix = vectors === 0 ? {} : { msix: { vectors, ...msixPlace(bars, vectors) } };
    this.#config = new PciConfigSpace({ ...identity, bars, ...msix });
    this.#shape = { configSize: CONFIG_SIZE, msixVectors: vectors };
    this.msix = vectors === 0 ? undefined : new Msix(vectors, (message) => this.deliver(message));
  }

  /** Whether the guest has turned MSI-X on. */
  get msixEnabled(): boolean {
    return (this.#control & MSIX_CONTROL.ENABLE) !== 0;
  }

  /** The device raises an MSI-X vector. @throws RangeError when there is no such vector */
  trigger(vector: number): MsixOutcome {
    if (this.msix === undefined) throw new RangeError(`${this.name} has no MSI-X`);
    return this.msix.trigger(vector);
  }

  /** A read of the guest, little-endian. @throws RangeError outside configuration space */
  readConfig(offset: number, size: 1 | 2 | 4): number {
    inConfig(offset, size);
    return Buffer.from(this.#config.bytes.subarray(offset, offset + size)).readUIntLE(0, size);
  }

  /**
   * A write of the guest, little-endian. The command register and MSI-X's message control are the device's too.
   * @throws RangeError outside configuration space; DeviceError when the device refuses
   */
  async writeConfig(offset: number, size: 1 | 2 | 4, value: number): Promise<void> {
    for (const register of this.#write(offset, size, value)) {
      await this.#pass(register);
      this.#obey(register);
    }
  }

  /**
   * The same for a vCPU, which does not wait: the function obeys at once, and the device is told in the order of
   * the writes. What it refuses, `settled` throws.
   * @throws RangeError outside configuration space
   */
  postConfig(offset: number, size: 1 | 2 | 4, value: number): void {
    const registers = this.#write(offset, size, value);
    for (const register of registers) {
      this.#obey(register);
      this.#passing = this.#passing
        .then(() => this.#pass(register))
        .catch((error) => {
          this.#refusal ??= { error };
        });
    }
  }

  /**
   * Waits until the device knows of all that vCPUs have written.
   * @throws DeviceError of the first write that the device has refused since this was asked last
   */
  async settled(): Promise<void> {
    await this.#passing;
    const refusal = this.#refusal;
    this.#refusal = null;
    if (refusal !== null) throw refusal.error;
  }

  /** Puts a write of the guest into configuration space. @returns registers that it touched and the device has too */
  #write(offset: number, size: number, value: number): number[] {
    inConfig(offset, size);
    const bytes = Buffer.alloc(size);
    bytes.writeUIntLE(value, 0, size);
    this.#config.write(offset, bytes);
    const { msixControl } = this.#config;
    const registers = msixControl === undefined ? [PCI_CONFIG.COMMAND] : [PCI_CONFIG.COMMAND, msixControl];
    return registers.filter((at) => offset < at + 2 && at < offset + size);
  }

  #obey(register: number): void {
    if (register === this.#config.msixControl) this.msix?.setControl(this.#control);
  }

  /** The vmstate that stands between DEV_CONFIG_STATE and END_OF_STATE. */
  saveConfig(): Uint8Array {
    const pdev = { version_id: PCI_DEVICE_VERSION, config: this.#config.bytes, irq_state: this.#irqState };
    return saveVmState(pciDeviceState(this.#shape), { pdev, msix: this.msix });
  }

  /**
   * The parser of that vmstate. Nothing changes unless all of it can be taken over; the device does not know of it
   * before `replay`.
   * @throws StreamError, VmStateError when it reads: as `loadVmState`, and for what a migration must not change,
   * such as a BAR of another kind
   */
  configParser(): BodyParser {
    const incoming = {} as { -readonly [K in keyof PciDeviceTarget]: PciDeviceTarget[K] };
    const description = pciDeviceState(this.#shape);
    const postLoad = () => {
      const { pdev, msix } = incoming;
      this.#config.takeOver(pdev.config);
      for (const [pin, level] of Array.from(pdev.irq_state).entries()) this.#irqState[pin] = level;
      if (msix !== undefined) this.msix?.takeOver(msix.table, msix.pba);
    };
    return loadVmState({ ...description, postLoad }, incoming, description.version);
  }

  /**
   * After the state was loaded: tells the device what the guest has written on the source, the command register
   * first, then MSI-X where it is on. What was pending and is not masked is sent then.
   * @throws DeviceError when the device refuses
   */
  async replay(): Promise<void> {
    await this.#pass(PCI_CONFIG.COMMAND);
    const { msixControl } = this.#config;
    if (msixControl === undefined) return;
    if (this.msixEnabled) await this.#pass(msixControl);
    this.msix?.setControl(this.#control);
  }

  get #control(): number {
    const { msixControl } = this.#config;
    return msixControl === undefined ? 0 : this.#config.u16(msixControl);
  }

  /** Passes a register of two bytes on to the device; a mock may have no configuration space. */
  async #pass(offset: number): Promise<void> {
    if (!(await this.#hasConfigRegion())) return;
    const bytes = this.#config.bytes.slice(offset, offset + 2);
    await this.#device.writeRegion(VFIO_PCI_CONFIG_REGION, offset, bytes);
  }

  async #hasConfigRegion(): Promise<boolean> {
    try {
      await this.#device.readRegion(VFIO_PCI_CONFIG_REGION, PCI_CONFIG.VENDOR_ID, 2);
      return true;
    } catch (error) {
      if (error instanceof DeviceError && error.code === 'EINVAL') return false;
      throw error;
    }
  }
}

function inConfig(offset: number, size: number): void {
  if (Number.isInteger(offset) && offset >= 0 && offset + size <= CONFIG_SIZE) return;
  throw new RangeError(`${size} bytes at ${offset}: configuration space has ${CONFIG_SIZE}`);
}

/** Table and pending bits stand in the last BAR, at its beginning and from its middle on. */
function msixPlace(bars: readonly PciBar[], vectors: number): { bar: number; table: number; pba: number } {
  const bar = bars.findLastIndex(({ size }) => size > 0);
  const half = (bars[bar]?.size ?? 0) / 2;
  const words = Math.ceil(pbaBytes(vectors) / 8) * 8;
  if (half < Math.max(MSIX_ENTRY.SIZE * vectors, words)) {
    throw new RangeError(`BAR ${bar} has no room for the MSI-X table of ${vectors} vectors`);
  }
  return { bar, table: 0, pba: half };
}
