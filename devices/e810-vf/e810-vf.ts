/**
 * The E810 VF as a device that migrates: hardware and PF driver of one VF, and the device state of either
 * published generation, as it was posted or as the uAPI wants it.
 */
import { capabilitySet } from 'stopcopy/machines';
import {
  type DataFd,
  DeviceError,
  type DmaLogging,
  type MigState,
  migStateOf,
  VFIO_PCI_CONFIG_REGION,
} from 'stopcopy/uapi';
import { DmaLog } from '../dma-log.js';
import { type ArcCallbacks, MigratableDevice } from '../migratable.js';
import { ConfigRegion } from './config-region.js';
import type { VfEnvironment } from './environment.js';
import { E810_VF_FUNCTION } from './hardware/config-space.js';
import { E810Hardware } from './hardware/hardware.js';
import { LoggedMemory } from './logged-memory.js';
import type { Personality, VfParts } from './personality.js';
import { E810Pf } from './pf/pf.js';
import { PublishedA, PublishedB } from './published-personality.js';
import { UapiPersonality } from './uapi-personality.js';
import { newVfState, type VfState } from './vf-state.js';

/** How a VF is made: its generation, personality, queues, and what it offers. */
export interface E810VfOptions {
  /** As traces and reports spell it, such as `0000:3b:01.0`. */
  name: string;
  /** `a`: the guest's messages are recorded and replayed. `b`: the PF driver writes records of its state. */
  generation: 'a' | 'b';
  /** `published`: as the drivers were posted, defects included. `uapi`: as the uAPI wants it. */
  personality: 'published' | 'uapi';
  /** Queue pairs, 1 to 16; there is a vector for each, and one for the mailbox. */
  queuePairs: number;
  /** MAC that the host gives, six bytes. */
  hostMac: Uint8Array;
  /** VSI number on this host. */
  vsiId: number;
  /** The guest may be promiscuous, and have any number of filters. */
  trusted?: boolean;
  /** PRE_COPY, and DMA logging of the device: with the personality `uapi` only. */
  preCopy?: boolean;
  dmaLogging?: boolean;
  environment: VfEnvironment;
}

/** VFIO region number of BAR 0, and its bytes. */
const BAR0 = 0;
const BAR0_SIZE = E810_VF_FUNCTION.bars[BAR0].size;

/** An E810 VF behind the migration uAPI: registers, queues, mailbox and traffic, which migrate in generation A or B. */
export class E810Vf extends MigratableDevice {
  /** All that the VF is, but for its config space. */
  readonly state: VfState;
  readonly hardware: E810Hardware;
  readonly pf: E810Pf;
  override readonly dmaLogging: DmaLogging | null;
  protected override readonly arcs: ArcCallbacks;
  readonly #personality: Personality;
  readonly #config = new ConfigRegion();
  #target: MigState = 'RUNNING';

  /** @throws RangeError for options that no VF has */
  constructor(options: E810VfOptions) {
    checkOptions(options);
    const { name, generation, personality, environment, preCopy = false, dmaLogging = false } = options;
    super(name, capabilitySet(preCopy ? ['p2p', 'pre-copy'] : ['p2p']));
    const log = dmaLogging ? new DmaLog() : null;
    const { queuePairs, hostMac, vsiId, trusted = false } = options;
    const identity = { queuePairs, hostMac: hostMac.slice(), vsiId, trusted };
    this.dmaLogging = log;
    this.state = newVfState(identity);
    this.state.pf.logging = generation === 'a';
    this.hardware = new E810Hardware(this.state, log ? withLog(environment, log) : environment);
    this.pf = new E810Pf(this.state, this.hardware);
    const { state, hardware, pf } = this;
    const target = () => this.#target;
    const parts: VfParts = { name, generation, identity, state, hardware, pf, target };
    if (personality === 'uapi') this.#personality = new UapiPersonality(parts);
    else this.#personality = generation === 'a' ? new PublishedA(parts) : new PublishedB(parts);
    this.arcs = this.#personality.arcs;
  }

  /** Lets time go by: at most `budget` descriptors of each queue. Returns how many were used. */
  tick(budget: number): number {
    const used = this.hardware.tick(budget);
    this.#personality.afterTick?.();
    return used;
  }

  override setState(to: MigState | number): DataFd | null {
    this.#target = (typeof to === 'number' ? migStateOf(to) : to) ?? this.#target;
    return super.setState(to);
  }

  protected override onReset(): void {
    this.#personality.onReset();
    this.#config.reset();
    this.pf.resetVf();
  }

  protected override estimate(): number {
    return this.#personality.dataSize();
  }

  /** Region 0 is BAR 0, of registers of four bytes; 7 is configuration space. @throws DeviceError EINVAL elsewhere */
  override readRegion(region: number, offset: number, size: number): Uint8Array {
    if (region === VFIO_PCI_CONFIG_REGION) return this.#config.read(offset, size);
    this.#checkRegister(region, offset, size);
    // Reading a cause register clears it; a VF that is stopped does not change.
    const { icr01 } = this.state;
    const value = this.hardware.readRegister(offset);
    if (!this.#isReached) this.state.icr01 = icr01;
    const bytes = new Uint8Array(size);
    new DataView(bytes.buffer).setUint32(0, value, true);
    return bytes;
  }

  override writeRegion(region: number, offset: number, bytes: Uint8Array): void {
    if (region === VFIO_PCI_CONFIG_REGION) {
      this.#config.write(offset, bytes);
      return;
    }
    this.#checkRegister(region, offset, bytes.length);
    if (!this.#isReached) return;
    const value = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    this.hardware.writeRegister(offset, value);
  }

  get #isReached(): boolean {
    return this.#personality.isReached(this.getState());
  }

  #checkRegister(region: number, offset: number, size: number): void {
    if (region === BAR0 && size === 4 && offset % 4 === 0 && offset >= 0 && offset < BAR0_SIZE) return;
    throw new DeviceError(
      'EINVAL',
      `${this.name} has no register of ${size} bytes at ${offset} of region ${region}`,
    );
  }
}

function withLog(environment: VfEnvironment, log: DmaLog): VfEnvironment {
  return {
    memory: new LoggedMemory(environment.memory, log),
    interrupt: (vector) => environment.interrupt(vector),
    transmit: (frame) => environment.transmit(frame),
  };
}

function checkOptions({ personality, preCopy, dmaLogging, queuePairs, hostMac, vsiId }: E810VfOptions): void {
  if (personality === 'published' && (preCopy || dmaLogging))
    throw new RangeError('the published drivers have neither PRE_COPY nor DMA logging');
  if (!Number.isInteger(queuePairs) || queuePairs < 1 || queuePairs > 16)
    throw new RangeError(`queuePairs: expected 1 to 16, got ${queuePairs}`);
  if (hostMac.length !== 6) throw new RangeError(`hostMac: expected 6 bytes, got ${hostMac.length}`);
  if (!Number.isInteger(vsiId) || vsiId < 0 || vsiId > 0xffff)
    throw new RangeError(`vsiId: expected a number of 16 bits, got ${vsiId}`);
}
