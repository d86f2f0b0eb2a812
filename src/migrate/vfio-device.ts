import {
  type CapabilitySet,
  callEvent,
  capabilitiesOfFlags,
  inPreCopy,
  inSavingGroup,
  vmmDestination,
  vmmSetState,
  vmmSource,
} from '../machines/index.js';
import { recorded } from '../target/recorded.js';
import type { TraceEvent } from '../trace/event.js';
import { type DataFd, type Device, DeviceError } from '../uapi/device.js';
import type { MigState } from '../uapi/vfio.js';
import { Chart } from './chart.js';
import type { Chronicle, EventBody } from './chronicle.js';
import type { MachineDevice } from './machine.js';
import type { PciFunction } from './pci-function.js';

type DeviceEvent = Extract<EventBody, { device: string }>;
/** An event of a device without who saw it, when, and at which device. */
export type DeviceBody = {
  [K in DeviceEvent['kind']]: Omit<Extract<DeviceEvent, { kind: K }>, 'device'>;
}[DeviceEvent['kind']];

/**
 * One VFIO device as the VMM drives it: the state that the VMM believes in, the `data_fd`, and the setter with
 * its recovery. Named and ordered as QEMU 11.1 does it (`hw/vfio/migration.c`).
 */
export class VfioDevice {
  readonly name: string;
  readonly capabilities: CapabilitySet;
  readonly device: Device;
  /** The state that the VMM believes the device to be in. */
  state: MigState = 'RUNNING';
  fd: DataFd | null = null;
  /** MIG_PRECOPY_INFOv2 was accepted. */
  precopyInfoV2 = false;
  readonly source: Chart;
  readonly destination: Chart;
  readonly #setter: Chart;
  readonly #chronicle: Chronicle;
  /** Set while a call of the setter is told, so that the event of the uAPI carries the recover state. */
  #recover: MigState | null = null;

  constructor(
    readonly machine: MachineDevice,
    readonly pci: PciFunction,
    chronicle: Chronicle,
  ) {
    const { device } = machine;
    this.name = device.name;
    this.#chronicle = chronicle;
    this.capabilities = capabilitiesOfFlags(device.flags)!;
    this.device = recorded(device, {
      host: chronicle.host,
      emit: (event) => this.#tellCall(event),
    });
    this.#setter = new Chart(vmmSetState(), this.name);
    this.source = new Chart(vmmSource(this.capabilities.p2p), this.name);
    this.destination = new Chart(vmmDestination(), this.name);
  }

  /** After the device was opened: opts in to MIG_PRECOPY_INFOv2 where there is PRE_COPY. */
  async open(): Promise<void> {
    if (!this.capabilities.preCopy) return;
    try {
      await this.device.optInPrecopyInfoV2();
      this.precopyInfoV2 = true;
    } catch (error) {
      if (!(error instanceof DeviceError) || error.code !== 'ENOTTY') throw error;
    }
  }

  /** Tells an event about this device. */
  tell(body: DeviceBody): void {
    this.#chronicle.tell({ ...body, device: this.name } as EventBody);
  }

  #tellCall(event: TraceEvent): void {
    const { host: _host, ...body } = event;
    const recover = this.#recover;
    const call = event.kind === 'set_state' && recover !== null;
    this.#chronicle.tell((call ? { ...body, recover } : body) as EventBody);
  }

  /**
   * Asks for a state. On failure the device goes to `recover`, or is reset when that is ERROR.
   * @throws DeviceError of the request, after the recovery; of the reset when that fails too
   */
  async setState(state: MigState, recover: MigState): Promise<void> {
    const call = callEvent(state, recover);
    this.#setter.take(call);
    (state === 'RESUMING' ? this.destination : this.source).take(call);
    if (state === this.state) {
      this.tell({ kind: 'set_state', state, recover });
      return;
    }
    try {
      await this.#request(state, recover);
    } catch (error) {
      await this.#recoverTo(recover);
      throw error;
    }
  }

  async #request(state: MigState, recover: MigState | null): Promise<void> {
    this.#recover = recover;
    let fd: DataFd | null;
    try {
      fd = await this.device.setState(state);
    } finally {
      this.#recover = null;
    }
    this.#believe(state);
    if (fd === null) return;
    if (this.fd !== null) {
      await fd.close();
      throw new DeviceError('EBADF', `${this.name}: data_fd out of sync`);
    }
    this.fd = fd;
  }

  #believe(state: MigState): void {
    this.state = state;
    this.#setter.take(`NOW.${state}`);
  }

  async #recoverTo(recover: MigState): Promise<void> {
    if (recover !== 'ERROR') {
      try {
        return await this.#request(recover, null);
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error;
      }
    }
    await this.device.reset();
    this.#believe('RUNNING');
  }

  /** First phase of a VM stop or start: no peer-to-peer DMA any more, or not yet. */
  async prepare(running: boolean, reason: string): Promise<void> {
    if (!this.capabilities.p2p) return;
    try {
      await this.setState(this.state === 'PRE_COPY' ? 'PRE_COPY_P2P' : 'RUNNING_P2P', 'ERROR');
    } finally {
      this.source.take('PREPARE');
      this.tell({ kind: 'vmstate_prepare', running, reason, state: this.state });
    }
  }

  /** Last phase: the device runs, or stops; in a migration with PRE_COPY it goes on to STOP_COPY. */
  async change(running: boolean, reason: string): Promise<void> {
    const saving = inPreCopy(this.state) && (reason === 'finish-migrate' || reason === 'paused');
    try {
      await this.setState(running ? 'RUNNING' : saving ? 'STOP_COPY' : 'STOP', 'ERROR');
    } finally {
      this.source.take('CHANGE');
      this.tell({ kind: 'vmstate_change', running, reason, state: this.state });
    }
  }

  async closeFd(): Promise<void> {
    const { fd } = this;
    this.fd = null;
    await fd?.close();
  }

  digest(): string | null {
    return this.machine.digest();
  }

  /** Whether data can be read. */
  get saving(): boolean {
    return inSavingGroup(this.state);
  }
}
