import type { Mealy } from '../../src/automaton/index.js';
import {
  type CapabilitySet,
  flagsOfCapabilities,
  inPreCopy,
  inSavingGroup,
} from '../../src/machines/index.js';
import type { Target } from '../../src/target/index.js';
import { type DataFd, type Device, DeviceError, type MigState } from '../../src/uapi/index.js';

/** Name of the input that tells the state. */
const STATUS = 'GET';
const STREAM = Uint8Array.of(0x73, 0x74, 0x61, 0x74, 0x65);

/**
 * A device that answers as a machine of requests says, whatever that is: the machine may have hidden states,
 * which look to GET like others. A data_fd is given where the machine says so; a save has a few bytes, and a
 * load takes all.
 */
export class TableDevice implements Device {
  readonly name = 'table0';
  readonly flags: number;
  readonly offersReset = true;
  readonly dmaLogging = null;
  #state = 0;
  #fd: TableFd | null = null;

  constructor(
    readonly machine: Mealy,
    capabilities: CapabilitySet,
  ) {
    this.flags = flagsOfCapabilities(capabilities);
  }

  /** Takes a request, and says whether it gives a data_fd. */
  #request(name: string): boolean {
    const { inputs, outputs, next, output } = this.machine;
    const input = inputs.indexOf(name);
    if (input < 0) throw new DeviceError('EINVAL', `${this.name}: ${name} is no state`);
    const at = this.#state * inputs.length + input;
    const before = this.getState();
    this.#state = next[at]!;
    const answer = outputs[output[at]!];
    const goesOn = inSavingGroup(before) && inSavingGroup(this.getState());
    if (this.#fd && (answer === 'data_fd' || name === 'RESET' || !(goesOn || before === this.getState()))) {
      this.#fd.isAlive = false;
      this.#fd = null;
    }
    if (answer === 'errno') throw new DeviceError('EINVAL', `${this.name}: ${name} is refused`);
    return answer === 'data_fd';
  }

  setState(state: MigState | number): DataFd | null {
    if (!this.#request(String(state))) return null;
    this.#fd = new TableFd(this);
    return this.#fd;
  }

  getState(): MigState {
    const { inputs, outputs, output } = this.machine;
    return outputs[output[this.#state * inputs.length + inputs.indexOf(STATUS)]!] as MigState;
  }

  reset(): void {
    this.#request('RESET');
  }

  dataSize(): bigint {
    return BigInt(STREAM.length);
  }

  optInPrecopyInfoV2(): void {
    throw new DeviceError('ENOTTY', `${this.name} has no precopy info`);
  }

  readRegion(): Uint8Array {
    throw new DeviceError('EINVAL', `${this.name} has no regions`);
  }

  writeRegion(): void {
    throw new DeviceError('EINVAL', `${this.name} has no regions`);
  }
}

class TableFd implements DataFd {
  isAlive = true;
  #read = 0;

  constructor(readonly device: TableDevice) {}

  read(into: Uint8Array): number {
    this.#checkAlive();
    const preCopy = inPreCopy(this.device.getState());
    // The last byte is the device's own, which has it only once it has stopped.
    const rest = STREAM.subarray(this.#read, preCopy ? -1 : undefined).subarray(0, into.length);
    if (rest.length === 0 && preCopy) throw new DeviceError('ENOMSG', 'there is no more data for now');
    into.set(rest);
    this.#read += rest.length;
    return rest.length;
  }

  write(bytes: Uint8Array): number {
    this.#checkAlive();
    return bytes.length;
  }

  precopyInfo(): never {
    throw new DeviceError('ENOTTY', 'there is no precopy info');
  }

  close(): void {}

  #checkAlive(): void {
    if (!this.isAlive) throw new DeviceError('ENODEV', 'the session of the data_fd has ended');
  }
}

/** A target whose device follows the machine; each opening makes a new one. */
export function tableTarget(machine: Mealy, capabilities: CapabilitySet): Target {
  return {
    uri: 'table',
    profile: undefined,
    lacks: new Set(),
    guest: null,
    open: async () => new TableDevice(machine, capabilities),
    close: async () => {},
  };
}
