/** A guest's virtio-net driver on a vhost-user back end: one pair of split queues over a memfd. */
import type { Linux } from '../../src/linux/index.js';
import { DeviceError } from '../../src/uapi/device.js';
import { VHOST_USER_F_PROTOCOL_FEATURES, VHOST_USER_PROTOCOL_FEATURES } from '../../src/uapi/vhost-user.js';
import { featureBits, VIRTIO_FEATURES, VirtioNetHdr } from '../../src/uapi/virtio.js';
import type { VhostUserFrontEnd } from '../../src/vhost-user/index.js';
import { type DriverQueue, driverQueue, type QueueMemory } from '../../src/virtio/index.js';
import { Shared } from './pair.js';

const SIZE = 64;
const ROOM = 2048;
const UADDR = 0x7f00_0000_0000;
/** Where each ring begins, its parts from there, and where the buffers are. */
const RING = 0x4000;
const PARTS = { desc: 0, avail: 0x1000, used: 0x2000 } as const;
const BUFFERS = 0x1_0000;
const MEMORY = 0x8_0000;
const LOG_BYTES = 4096;
export const GUEST_FEATURES = featureBits(
  VIRTIO_FEATURES.VERSION_1,
  VIRTIO_FEATURES.NET_MRG_RXBUF,
  VIRTIO_FEATURES.EVENT_IDX,
  VHOST_USER_F_PROTOCOL_FEATURES,
);
const { REPLY_ACK, LOG_SHMFD, DEVICE_STATE, RARP } = VHOST_USER_PROTOCOL_FEATURES;

export class NetGuest {
  readonly memory: Shared;
  readonly log: Shared;
  readonly #front: VhostUserFrontEnd;
  readonly #queues: DriverQueue[] = [];
  readonly #frames: Buffer[] = [];
  #wake: () => void = () => {};
  #next = 0;

  constructor(linux: Linux, front: VhostUserFrontEnd) {
    this.#front = front;
    this.memory = new Shared(linux, MEMORY);
    this.log = new Shared(linux, LOG_BYTES);
  }

  close(): void {
    this.#front.close();
    this.memory.close();
    this.log.close();
  }

  /** As QEMU does it for a driver that is ready. */
  async start(): Promise<void> {
    const front = this.#front;
    await front.getFeatures();
    await front.setProtocolFeatures(featureBits(REPLY_ACK, LOG_SHMFD, DEVICE_STATE, RARP));
    await front.setOwner();
    for (const index of [0, 1]) await front.setVringEnable(index, true);
    await front.setFeatures(GUEST_FEATURES);
    const region = { gpa: 0, size: MEMORY, uaddr: UADDR, offset: 0, memory: this.memory };
    await front.setMemTable([region]);
    for (const index of [0, 1]) {
      await front.setVringNum(index, SIZE);
      await front.setVringBase(index, 0);
      await front.setVringAddr(index, this.#addresses(index, false));
      await front.setVringKick(index, true);
      await front.setVringCall(index, () => this.#called());
      this.#queues[index] = this.#queue(index);
    }
    for (let slot = 0; slot < SIZE / 2; slot++) this.#offer(slot);
    front.kick(0);
    front.kick(1);
  }

  /** Logging begins, in the order of QEMU. */
  async startLog(): Promise<void> {
    await this.#front.setLogBase(this.log);
    await this.#front.setFeatures(GUEST_FEATURES | featureBits(26));
    for (const index of [0, 1]) await this.#front.setVringAddr(index, this.#addresses(index, true));
  }

  async stop(): Promise<number[]> {
    return [await this.#front.getVringBase(0), await this.#front.getVringBase(1)];
  }

  send(frame: Uint8Array): void {
    const slot = SIZE / 2 + (this.#next++ % (SIZE / 2));
    const address = BUFFERS + slot * ROOM;
    this.memory.bytes.fill(0, address, address + VirtioNetHdr.size);
    this.memory.bytes.set(frame, address + VirtioNetHdr.size);
    const queue = this.#queues[1]!;
    while (queue.collect() !== null);
    if (!queue.add([{ address, length: VirtioNetHdr.size + frame.length }], [], slot))
      throw new Error('the transmit ring is full');
    if (queue.needsKick()) this.#front.kick(1);
  }

  /** The next frame that comes. */
  async receive(): Promise<Buffer> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame !== undefined) return frame;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Pages that are marked in the log. */
  get marked(): Set<number> {
    const bytes = this.log.bytes;
    const pages = Array.from({ length: MEMORY / 4096 }, (_, page) => page);
    return new Set(pages.filter((page) => (bytes[page >> 3]! & (1 << (page & 7))) !== 0));
  }

  #called(): void {
    const queue = this.#queues[0]!;
    for (let used = queue.collect(); used !== null; used = queue.collect()) {
      const start = BUFFERS + used.token * ROOM;
      this.#frames.push(Buffer.from(this.memory.bytes.slice(start + VirtioNetHdr.size, start + used.length)));
      this.#offer(used.token);
    }
    if (queue.needsKick()) this.#front.kick(0);
    this.#wake();
  }

  #offer(slot: number): void {
    this.#queues[0]!.add([], [{ address: BUFFERS + slot * ROOM, length: ROOM }], slot);
  }

  #addresses(index: number, log: boolean) {
    const start = RING * (index + 1);
    const { desc, avail, used } = PARTS;
    const at = UADDR + start;
    return { desc: at + desc, avail: at + avail, used: at + used, logGuestAddr: start + used, log };
  }

  #queue(index: number): DriverQueue {
    const start = RING * (index + 1);
    const { bytes } = this.memory;
    const check = (address: number, length: number) => {
      if (address < 0 || address + length > MEMORY)
        throw new DeviceError('EFAULT', `no memory at ${address}`);
    };
    const memory: QueueMemory = {
      read(address, into) {
        check(address, into.length);
        into.set(bytes.subarray(address, address + into.length));
      },
      write(address, from) {
        check(address, from.length);
        bytes.set(from, address);
      },
    };
    const { desc, avail, used } = PARTS;
    const parts = { desc: start + desc, avail: start + avail, used: start + used };
    return driverQueue(false, { memory, parts, size: SIZE, features: { eventIdx: true, indirect: false } });
  }
}
