import type { SharedMemory } from '../uapi/vhost-backend.js';
import { VIRTIO_NET_ACK } from '../uapi/virtio.js';
import {
  type Chain,
  type DeviceQueue,
  type DriverQueue,
  deviceQueue,
  driverQueue,
  type QueueFeatures,
  type QueueMemory,
  type QueueParts,
} from '../virtio/index.js';
import { type ControlCommand, type ControlState, encodeCommand, parseCommand } from './control-state.js';
import { flatMemory } from './region-memory.js';
import { shadowBytes, shadowParts } from './shadow-virtqueue.js';
import type { VhostRing } from './virtio-state.js';

const PAGE = 4096;
/** Longest command: a table of MACs that is as long as a device takes. */
const LONGEST = 2 * PAGE;

/** Bytes of memory of a shadow control queue: its ring, and a buffer for the command and the ack. */
export function controlBytes(size: number): number {
  return shadowBytes(size) + LONGEST + PAGE;
}

export interface ShadowControlOptions {
  readonly ring: VhostRing;
  readonly features: QueueFeatures;
  /** Guest memory by guest physical address; its writes are marked dirty by whoever made it. */
  readonly guest: QueueMemory;
  /** Zeroed memory, `controlBytes` long, and the I/O address that the device finds it at. */
  readonly memory: SharedMemory;
  readonly iova: number;
  /** Gets each command that the device has accepted. */
  readonly state: ControlState;
  kick(): void;
  call(): void;
}

/**
 * The control queue of a vDPA device, which the VMM always stands behind: it sees what the guest sets, and sets it
 * again in a device that was reset. Commands are copied, for the device does not reach guest memory by this queue;
 * one is under way at a time.
 */
export class ShadowControl {
  readonly ring: VhostRing;
  readonly parts: QueueParts;
  readonly #options: ShadowControlOptions;
  readonly #guest: DeviceQueue;
  readonly #device: DriverQueue;
  readonly #buffer: number;
  #waiting: { command: ControlCommand; done: (ok: boolean) => void } | null = null;

  constructor(options: ShadowControlOptions) {
    const { ring, features, guest, memory, iova } = options;
    const { size } = ring;
    this.ring = ring;
    this.parts = shadowParts(size, iova);
    this.#options = options;
    this.#buffer = shadowBytes(size);
    this.#guest = deviceQueue(false, {
      memory: guest,
      parts: ring.parts,
      size,
      features,
      base: ring.base,
    });
    this.#device = driverQueue(false, {
      memory: flatMemory(memory),
      parts: shadowParts(size, 0),
      size,
      features,
    });
  }

  /** Where the guest's ring goes on. */
  get base(): number {
    return this.#guest.base;
  }

  /** Sends a command of the VMM's own. @returns whether the device has accepted it, when it has answered */
  send(command: ControlCommand): Promise<boolean> {
    return new Promise((resolve) => this.#send(command, resolve));
  }

  #send(command: ControlCommand, done: (ok: boolean) => void): void {
    const { memory, iova } = this.#options;
    const bytes = encodeCommand(command).subarray(0, LONGEST);
    memory.bytes.set(bytes, this.#buffer);
    memory.bytes[this.#buffer + LONGEST] = VIRTIO_NET_ACK.ERR;
    const at = iova + this.#buffer;
    this.#waiting = { command, done };
    this.#device.add([{ address: at, length: bytes.length }], [{ address: at + LONGEST, length: 1 }], 0);
    if (this.#device.needsKick()) this.#options.kick();
  }

  /** The guest has made a command available. */
  forward(): void {
    if (this.#waiting !== null) return;
    const chain = this.#guest.pop() ?? this.#waitForKick();
    if (chain === null) return;
    const { guest } = this.#options;
    const parts = chain.readable.map(({ address, length }) => {
      const bytes = new Uint8Array(Math.min(length, LONGEST));
      guest.read(address, bytes);
      return bytes;
    });
    const answer = (ok: boolean) => {
      const [ack] = chain.writable;
      const value = ok ? VIRTIO_NET_ACK.OK : VIRTIO_NET_ACK.ERR;
      if (ack !== undefined) guest.write(ack.address, Uint8Array.of(value));
      this.#guest.push([{ chain, written: ack === undefined ? 0 : 1 }]);
      if (this.#guest.needsCall()) this.#options.call();
      this.forward();
    };
    const command = parseCommand(Buffer.concat(parts));
    if (command === null) answer(false);
    else this.#send(command, answer);
  }

  /** Asks for the guest's next kick. @returns what it has made available before it was asked */
  #waitForKick(): Chain | null {
    this.#guest.setNotification(true);
    return this.#guest.pop();
  }

  /** The device has answered. */
  complete(): void {
    if (this.#device.collect() === null || this.#waiting === null) return;
    const { command, done } = this.#waiting;
    this.#waiting = null;
    const ok = this.#options.memory.bytes[this.#buffer + LONGEST] === VIRTIO_NET_ACK.OK;
    if (ok) this.#options.state.take(command);
    done(ok);
  }
}
