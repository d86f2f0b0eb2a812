import { DeviceError } from '../uapi/device.js';
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
  type Segment,
} from '../virtio/index.js';
import { type ControlCommand, type ControlState, encodeCommand, parseCommand } from './control-state.js';
import { flatMemory } from './region-memory.js';
import { RingGuard } from './ring-guard.js';
import { shadowBytes, shadowParts } from './shadow-virtqueue.js';
import type { VhostRing } from './virtio-state.js';

const PAGE = 4096;
/** Longest command: a table of MACs that is as long as a device takes. */
const LONGEST = 2 * PAGE;

/** Descriptors of the shadow of a control queue of `size`: a command takes two. */
export const controlSize = (size: number): number => Math.max(2, size);

/** Bytes of memory of a shadow control queue: its ring, and a buffer for the command and the ack. */
export function controlBytes(size: number): number {
  return shadowBytes(controlSize(size)) + LONGEST + PAGE;
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
  /** Told when guest or device have broken the ring; absent: the error goes on to who kicked or called. */
  readonly broken?: ((error: Error) => void) | undefined;
}

/**
 * The control queue of a vDPA device, which the VMM always stands behind: it sees what the guest sets, and sets it
 * again in a device that was reset. Commands are copied, for the device does not reach guest memory by this queue;
 * one is under way at a time.
 */
export class ShadowControl {
  readonly ring: VhostRing;
  /** Descriptors and parts of the shadow ring, the latter by I/O address. */
  readonly size: number;
  readonly parts: QueueParts;
  readonly #options: ShadowControlOptions;
  readonly #guest: DeviceQueue;
  readonly #device: DriverQueue;
  readonly #buffer: number;
  #waiting: { command: ControlCommand; done: (ok: boolean) => void } | null = null;
  /** The guest's buffer of the command that is under way. */
  #popped: Chain | null = null;
  readonly #guard: RingGuard;
  #isForwarding = false;

  constructor(options: ShadowControlOptions) {
    const { ring, features, guest, memory, iova } = options;
    const size = controlSize(ring.size);
    this.ring = ring;
    this.size = size;
    this.parts = shadowParts(size, iova);
    this.#options = options;
    this.#guard = new RingGuard(options.broken);
    this.#buffer = shadowBytes(size);
    this.#guest = deviceQueue(false, {
      memory: guest,
      parts: ring.parts,
      size: ring.size,
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

  /**
   * Sends a command of the VMM's own.
   * @returns whether the device has accepted it, when it has answered
   * @throws DeviceError EINVAL: no command is so long
   */
  send(command: ControlCommand): Promise<boolean> {
    return new Promise((resolve) => this.#send(command, resolve));
  }

  #send(command: ControlCommand, done: (ok: boolean) => void): void {
    const { memory, iova } = this.#options;
    const bytes = encodeCommand(command);
    if (bytes.length > LONGEST)
      throw new DeviceError('EINVAL', `a command of ${bytes.length} bytes for the control queue`);
    memory.bytes.set(bytes, this.#buffer);
    memory.bytes[this.#buffer + LONGEST] = VIRTIO_NET_ACK.ERR;
    const at = iova + this.#buffer;
    this.#waiting = { command, done };
    this.#device.add([{ address: at, length: bytes.length }], [{ address: at + LONGEST, length: 1 }], 0);
    if (this.#device.needsKick()) this.#options.kick();
  }

  /** The guest has made a command available. */
  forward(): void {
    // A device that answers at once has its answer taken while commands are being forwarded.
    if (this.#isForwarding) return;
    this.#isForwarding = true;
    try {
      this.#guard.run(() => {
        while (this.#waiting === null && this.#next());
      });
    } finally {
      this.#isForwarding = false;
    }
  }

  /** Takes the guest's next command. @returns whether there was one */
  #next(): boolean {
    this.#popped = this.#guest.pop() ?? this.#waitForKick();
    if (this.#popped === null) return false;
    const command = this.#commandIn(this.#popped);
    if (command === null) this.#answer(false);
    else this.#send(command, (ok) => this.#answer(ok));
    return true;
  }

  /** The command in a buffer; null: there is none, or one that is longer than any. */
  #commandIn({ readable }: Chain): ControlCommand | null {
    const bytes = new Uint8Array(Math.min(LONGEST + 1, lengthOf(readable)));
    if (bytes.length > LONGEST) return null;
    let at = 0;
    for (const { address, length } of readable) {
      this.#options.guest.read(address, bytes.subarray(at, at + length));
      at += length;
    }
    return parseCommand(bytes);
  }

  #answer(ok: boolean): void {
    const chain = this.#popped!;
    const ack = chain.writable.find(({ length }) => length > 0);
    const value = ok ? VIRTIO_NET_ACK.OK : VIRTIO_NET_ACK.ERR;
    if (ack !== undefined) this.#options.guest.write(ack.address, Uint8Array.of(value));
    this.#popped = null;
    this.#guest.push([{ chain, written: ack === undefined ? 0 : 1 }]);
    if (this.#guest.needsCall()) this.#options.call();
  }

  /** Asks for the guest's next kick. @returns what it has made available before it was asked */
  #waitForKick(): Chain | null {
    this.#guest.setNotification(true);
    return this.#guest.pop();
  }

  /** The device has answered. */
  complete(): void {
    // Between commands of the VMM's own the guest has to wait.
    const isGuests = this.#popped !== null;
    this.#guard.run(() => this.#takeAnswer());
    if (isGuests) this.forward();
  }

  #takeAnswer(): void {
    if (this.#device.collect() === null || this.#waiting === null) return;
    const { command, done } = this.#waiting;
    this.#waiting = null;
    const ok = this.#options.memory.bytes[this.#buffer + LONGEST] === VIRTIO_NET_ACK.OK;
    if (ok) this.#options.state.take(command);
    done(ok);
  }

  /**
   * The device has stopped: what it has answered is told to the guest, and a command that it has not will be sent
   * again.
   * @returns where the guest's ring goes on
   */
  end(): number {
    this.#guard.run(() => this.#takeAnswer());
    this.#guard.end();
    if (this.#popped !== null) this.#guest.unpop(1);
    this.#popped = null;
    this.#waiting = null;
    return this.#guest.base;
  }
}

const lengthOf = (segments: readonly Segment[]): number =>
  segments.reduce((sum, { length }) => sum + length, 0);
