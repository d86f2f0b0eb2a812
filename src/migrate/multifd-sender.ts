import { type ChannelDigest, configPacket, MultifdWriter } from '../stream/index.js';
import type { Channel } from '../transport/index.js';
import { MULTIFD_FLAGS, MULTIFD_PACKET_BYTES } from '../uapi/qemu-stream.js';
import type { DeviceSender } from './device-sender.js';
import { type GuestRam, PAGE_SIZE, type PageScan } from './ram/index.js';
import { RAM_BLOCK } from './ram-sender.js';

const PAGES = MULTIFD_PACKET_BYTES / PAGE_SIZE;

/** One multifd channel: a packet at a time, with its pages in a buffer of its own. */
interface Lane {
  readonly channel: Channel;
  readonly writer: MultifdWriter;
  readonly buffer: Uint8Array;
  /** Done when the last packet is with the system. */
  busy: Promise<void>;
}

/** The sending side of the multifd channels: pages of RAM, and device state (`migration/multifd.c`). */
export class MultifdSender {
  readonly #lanes: readonly Lane[];
  #next = 0;
  #packet = 0n;

  /** @param write gives the sink for a channel, which keeps max-bandwidth */
  constructor(channels: readonly Channel[], write: (channel: Channel) => Channel['write']) {
    this.#lanes = channels.map((channel) => ({
      channel,
      writer: new MultifdWriter(write(channel), { checksum: true }),
      buffer: new Uint8Array(MULTIFD_PACKET_BYTES),
      busy: Promise.resolve(),
    }));
  }

  /** Bytes written on all channels. */
  get bytes(): number {
    return this.#lanes.reduce((sum, { writer }) => sum + writer.offset, 0);
  }

  /** Says hello on each channel. */
  async begin(uuid: Uint8Array): Promise<void> {
    for (const [channel, { writer }] of this.#lanes.entries()) {
      await writer.item({ kind: 'multifd-init', uuid, channel });
      await writer.flush();
    }
  }

  #nextLane(): Lane {
    const lane = this.#lanes[this.#next]!;
    this.#next = (this.#next + 1) % this.#lanes.length;
    return lane;
  }

  /** Puts work on the next channel, behind what is there; waits until it is done. */
  #on(work: (lane: Lane) => Promise<void>): Promise<void> {
    const lane = this.#nextLane();
    lane.busy = lane.busy.then(() => work(lane));
    // Who does not wait learns of a failure by the next packet of the channel.
    lane.busy.catch(() => {});
    return lane.busy;
  }

  /** Sends a packet of the next dirty pages; the pages are taken at once. */
  async sendPages(scan: PageScan, ram: GuestRam): Promise<{ normal: number; zero: number }> {
    const lane = this.#nextLane();
    await lane.busy;
    const normal: number[] = [];
    const zero: number[] = [];
    for (;;) {
      const room = PAGES - normal.length - zero.length;
      if (room === 0 || !scan.take({ normal: room, zero: room })) break;
      for (let page = scan.first; page < scan.first + scan.count; page++) {
        if (!scan.zero) ram.copyPage(page, lane.buffer, normal.length * PAGE_SIZE);
        (scan.zero ? zero : normal).push(page * PAGE_SIZE);
      }
    }
    if (normal.length + zero.length > 0) {
      lane.busy = this.#send(lane, normal, zero);
      lane.busy.catch(() => {});
    }
    return { normal: normal.length, zero: zero.length };
  }

  async #send({ writer, buffer }: Lane, normal: number[], zero: number[]): Promise<void> {
    const size = normal.length * PAGE_SIZE;
    const packet = this.#packet++;
    await writer.item({
      kind: 'multifd-ram',
      flags: 0,
      packet,
      allocated: PAGES,
      block: RAM_BLOCK,
      normal,
      zero,
      size,
    });
    if (size > 0) await writer.data(buffer.subarray(0, size));
    await writer.flush();
  }

  /** The end of a round: a SYNC on each channel, when all before it is with the system. */
  async sync(): Promise<void> {
    for (const lane of this.#lanes) {
      await lane.busy;
      const packet = this.#packet++;
      const empty = { block: '', normal: [], zero: [], size: 0 };
      await lane.writer.item({
        kind: 'multifd-ram',
        flags: MULTIFD_FLAGS.SYNC,
        packet,
        allocated: PAGES,
        ...empty,
      });
      await lane.writer.flush();
    }
  }

  /** Device state of one device, its config state last, in numbered packets over all channels. */
  async saveDevice(sender: DeviceSender): Promise<void> {
    const { device } = sender;
    const send = (index: number, config: boolean, data: Uint8Array) =>
      this.#on(async ({ writer }) => {
        const vfio = { index, config };
        const { length: size } = data;
        await writer.item({ kind: 'multifd-device', flags: 0, idstr: sender.idstr, instance: 0, vfio, size });
        await writer.data(data);
        await writer.flush();
      });
    let index = 0;
    for await (const piece of sender.complete(true)) await send(index++, false, piece);
    await send(index, true, configPacket(device.pci.saveConfig()));
    sender.configSaved();
  }

  /** All is sent: what was sent on each channel. */
  async end(): Promise<ChannelDigest[]> {
    const digests: ChannelDigest[] = [];
    for (const [channel, { writer, busy }] of this.#lanes.entries()) {
      await busy;
      await writer.flush();
      digests.push({ channel, bytes: writer.offset, crc: writer.checksumSoFar() });
    }
    return digests;
  }

  destroy(): void {
    for (const { channel } of this.#lanes) channel.destroy();
  }
}
