import { DeviceError, VHOST_ACCESS, VIRTIO_NET_ACK, VirtioNetHdr } from 'stopcopy/uapi';
import type { Chain, DeviceQueue } from 'stopcopy/virtio';
import { mix, nextRandom } from '../e810-vf/random.js';
import { type AddressSpace, type GpaRun, readFrom, writeTo } from './address-space.js';
import { type BufferWrite, type Conduct, clamped } from './conduct.js';
import type { Ring } from './ring.js';
import type { NetSettings } from './settings.js';
import { NET_FRAME, type Port } from './wire.js';

/** How much the device does at a time; what it leaves, it does the next time. */
export interface Pace {
  /** Buffers of a queue in one turn. */
  readonly burst: number;
  /** Buffers to transmit that may stay in flight from one turn to the next. */
  readonly inFlight: number;
}

/** How the rings are dealt with: not at all, without effects, or as they should be. */
export type RingMode = 'off' | 'idle' | 'on';

export interface NetDeviceOptions {
  readonly settings: NetSettings;
  readonly port: Port;
  readonly conduct: Conduct;
  readonly pace: Pace;
  readonly seed: number;
}

/** What was agreed on about packets. */
export interface PacketForm {
  /** Bytes of the header before each frame. */
  readonly header: number;
  /** One packet may take several buffers. */
  readonly mergeable: boolean;
  /** The device filters what comes from the wire as the guest asked it to. */
  readonly filters: boolean;
}

/** Longest command of the control queue that is looked at: a full table of MACs. */
const LONGEST_COMMAND = 4096;

/**
 * The data path of virtio-net: frames from the wire into buffers of the guest, frames of the guest out to the
 * wire, commands of the control queue. Rings of receive and transmit queues stand in pairs, receive first.
 */
export class NetDevice {
  readonly settings: NetSettings;
  readonly port: Port;
  readonly #conduct: Conduct;
  readonly #pace: Pace;
  #random: number;

  constructor({ settings, port, conduct, pace, seed }: NetDeviceOptions) {
    this.settings = settings;
    this.port = port;
    this.#conduct = conduct;
    this.#pace = pace;
    this.#random = mix(seed, 0x6e657464) || 1;
  }

  /** Frames of the guest go out. @returns whether something was done */
  transmit(ring: Ring, mode: RingMode, form: PacketForm): boolean {
    const queue = ring.queue!;
    const isDropped = mode !== 'on' && this.#conduct.heedsEnable;
    const done = ring.pending && this.#takeBuffers(ring, queue, form, isDropped);
    const sent = this.#finish(ring, this.#draw(this.#pace.inFlight + 1));
    this.#callDriver(ring, queue);
    return done || sent;
  }

  /**
   * Buffers that were in flight before the ring was stopped are in flight again.
   * @param heads as they were recorded, oldest first
   * @throws DeviceError EINVAL when those on the ring are others
   */
  takeAgain(ring: Ring, heads: readonly number[], form: PacketForm): void {
    for (const head of heads)
      if (this.#takeOne(ring, ring.queue!, form, false)?.id !== head)
        throw new DeviceError(
          'EINVAL',
          `ring ${ring.index}: buffers in flight are not the last that were taken`,
        );
    ring.takenBefore = heads.length;
  }

  /** Sends what is in flight, all of it. */
  finishAll(ring: Ring): void {
    if (ring.queue === null || ring.inFlight.length === 0) return;
    this.#finish(ring, 0);
    this.#callDriver(ring, ring.queue);
  }

  /**
   * Frames of the wire go in, until the ring has no buffers for the one that waits.
   * @param ringFor the ring of a frame; null: there is none for it now
   */
  receive(ringFor: (frame: Uint8Array) => Ring | null, form: PacketForm): boolean {
    const filled = new Map<Ring, { chain: Chain; written: number }[]>();
    try {
      return this.#fill(filled, ringFor, form);
    } finally {
      for (const [ring, used] of filled) {
        ring.queue!.push(used);
        this.#callDriver(ring, ring.queue!);
      }
    }
  }

  #fill(
    filled: Map<Ring, { chain: Chain; written: number }[]>,
    ringFor: (frame: Uint8Array) => Ring | null,
    form: PacketForm,
  ): boolean {
    let count = 0;
    for (; count < this.#pace.burst; count++) {
      const frame = this.port.waiting();
      if (frame === null) break;
      if (form.filters && !this.settings.accepts(frame)) {
        this.port.dropped();
        continue;
      }
      const ring = ringFor(frame);
      if (ring === null) break;
      const used = this.#place(ring, frame, form);
      if (used === null) break;
      if (used === 'never') {
        // What other packets of this turn hold comes back first.
        if (filled.has(ring)) break;
        this.port.dropped();
        continue;
      }
      this.port.taken();
      const before = filled.get(ring);
      if (before === undefined) filled.set(ring, used);
      else before.push(...used);
    }
    return count > 0;
  }

  /** Commands of the guest. */
  control(ring: Ring): boolean {
    const queue = ring.queue!;
    let done = false;
    queue.setNotification(false);
    for (let count = 0; count < this.#pace.burst; count++) {
      const chain = queue.pop();
      if (chain === null) {
        queue.setNotification(true);
        ring.pending = false;
        break;
      }
      done = true;
      this.#command(ring, queue, chain);
    }
    if (done) this.#callDriver(ring, queue);
    return done;
  }

  #command(ring: Ring, queue: DeviceQueue, chain: Chain): void {
    const bytes = withReturn(queue, () => gather(ring.space!, chain.readable, LONGEST_COMMAND));
    const obeys = bytes !== null && this.#conduct.obeysControl;
    const ack = obeys
      ? this.settings.command(bytes)
      : bytes === null
        ? VIRTIO_NET_ACK.ERR
        : VIRTIO_NET_ACK.OK;
    const space = capacity([chain]) > 0;
    if (space) {
      scatter(ring.space!, chain.writable, [Uint8Array.of(ack)]);
      ring.log.buffers([{ writable: chain.writable, written: 1 }]);
    }
    queue.push([{ chain, written: space ? 1 : 0 }]);
  }

  /** Takes buffers off the ring. Their frames are read at once. */
  #takeBuffers(ring: Ring, queue: DeviceQueue, form: PacketForm, isDropped: boolean): boolean {
    let taken = 0;
    queue.setNotification(false);
    while (taken < this.#pace.burst) {
      const chain = this.#takeOne(ring, queue, form, isDropped);
      if (chain === null) {
        queue.setNotification(true);
        ring.pending = false;
        break;
      }
      ring.inflightLog?.taken(chain.id);
      taken++;
    }
    return taken > 0;
  }

  #takeOne(ring: Ring, queue: DeviceQueue, form: PacketForm, isDropped: boolean): Chain | null {
    const chain = queue.pop();
    if (chain === null) return null;
    const most = form.header + NET_FRAME.mostSegmented;
    const packet = withReturn(queue, () => gather(ring.space!, chain.readable, most));
    const isFrame = packet !== null && packet.length > form.header && !isDropped;
    ring.inFlight.push({ chain, frame: isFrame ? packet.subarray(form.header) : null });
    return chain;
  }

  /** Sends and returns buffers in flight, until `keep` are left. */
  #finish(ring: Ring, keep: number): boolean {
    const count = ring.inFlight.length - keep;
    if (count <= 0) return false;
    const sent = ring.inFlight.splice(0, count);
    const pair = ring.index >> 1;
    for (const { frame } of sent) {
      if (frame === null) continue;
      this.settings.learn(frame, pair);
      this.port.transmit(frame, pair);
    }
    const chains = sent.map(({ chain }) => chain);
    ring.inflightLog?.returning(chains.map(({ id }) => id));
    ring.queue!.push(chains.map((chain) => ({ chain, written: 0 })));
    ring.inflightLog?.returned();
    return true;
  }

  /**
   * Writes a packet into as many buffers as it takes.
   * @returns null when there are too few now, `never` when they are too small; none is taken then
   */
  #place(
    ring: Ring,
    frame: Uint8Array,
    form: PacketForm,
  ): { chain: Chain; written: number }[] | null | 'never' {
    const queue = ring.queue!;
    const size = form.header + frame.length;
    const chains: Chain[] = [];
    while (capacity(chains) < size && (chains.length === 0 || form.mergeable)) {
      const chain = queue.pop();
      if (chain === null) break;
      chains.push(chain);
    }
    if (capacity(chains) < size) {
      const slots = chains.reduce((sum, { descriptors }) => sum + descriptors, 0);
      const isNever = form.mergeable ? slots >= queue.size : chains.length > 0;
      if (chains.length > 0) queue.unpop(chains.length);
      if (!isNever) queue.setNotification(true);
      return isNever ? 'never' : null;
    }
    // Whole descriptors have to be there, also what of them is not written.
    withReturn(queue, () => reach(ring.space!, chains), chains.length);
    queue.setNotification(false);
    const writes = shared(chains, size);
    const header = VirtioNetHdr.encode({ ...PLAIN_HEADER, num_buffers: chains.length });
    const all = writes.flatMap((write) => clamped(write));
    withReturn(
      queue,
      () => scatter(ring.space!, all, [header.subarray(0, form.header), frame]),
      chains.length,
    );
    ring.log.buffers(writes);
    return chains.map((chain, n) => ({ chain, written: writes[n]!.written }));
  }

  #callDriver(ring: Ring, queue: DeviceQueue): void {
    if (queue.needsCall()) ring.call?.();
  }

  #draw(below: number): number {
    if (below <= 1) return 0;
    this.#random = nextRandom(this.#random);
    return (this.#random >>> 4) % below;
  }
}

const PLAIN_HEADER = {
  flags: 0,
  gso_type: 0,
  hdr_len: 0,
  gso_size: 0,
  csum_start: 0,
  csum_offset: 0,
} as const;

/** Buffers whose memory cannot be reached now go back to the ring, and will be taken again. */
function withReturn<T>(queue: DeviceQueue, use: () => T, count = 1): T {
  try {
    return use();
  } catch (error) {
    if (error instanceof DeviceError) queue.unpop(count);
    throw error;
  }
}

const lengthOf = (runs: readonly GpaRun[]): number => runs.reduce((sum, { length }) => sum + length, 0);
const capacity = (chains: readonly Chain[]): number =>
  chains.reduce((sum, { writable }) => sum + lengthOf(writable), 0);

/** @throws DeviceError EFAULT when a byte that the device may write is not mapped */
function reach(space: AddressSpace, chains: readonly Chain[]): void {
  for (const { writable } of chains)
    for (const { address, length } of writable) space.pieces(address, length, VHOST_ACCESS.WO);
}

/** How many bytes of a packet go into each buffer. */
function shared(chains: readonly Chain[], size: number): BufferWrite[] {
  let left = size;
  return chains.map(({ writable }) => {
    const written = Math.min(left, lengthOf(writable));
    left -= written;
    return { writable, written };
  });
}

/** The bytes of a buffer; null when there are more than `most`. */
function gather(space: AddressSpace, runs: readonly GpaRun[], most: number): Uint8Array | null {
  const size = lengthOf(runs);
  if (size > most) return null;
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const { address, length } of runs) {
    readFrom(space, address, bytes.subarray(at, at + length));
    at += length;
  }
  return bytes;
}

/** Writes bytes one after another into runs, which have room for them. */
function scatter(space: AddressSpace, runs: readonly GpaRun[], parts: readonly Uint8Array[]): void {
  let [run, used] = [0, 0];
  for (const part of parts) {
    for (let at = 0; at < part.length; ) {
      const { address, length } = runs[run]!;
      const size = Math.min(length - used, part.length - at);
      if (size > 0) writeTo(space, address + used, part.subarray(at, at + size));
      at += size;
      used += size;
      if (used === length) [run, used] = [run + 1, 0];
    }
  }
}
