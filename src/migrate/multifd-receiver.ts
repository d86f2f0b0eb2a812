import { type ChannelDigest, type MultifdItem, MultifdReader } from '../stream/index.js';
import type { Channel } from '../transport/index.js';
import { MigrationError } from './error.js';
import { type GuestRam, PAGE_SIZE } from './ram/index.js';
import { RAM_BLOCK } from './ram-sender.js';

/** Takes a packet of device state. */
export type DevicePacketHandler = (
  idstr: string,
  index: number,
  packet: { data: Uint8Array; config: boolean },
) => Promise<void>;

/** Longest packet of device state. */
const MAX_PACKET = 64 << 20;

/** The receiving side of the multifd channels. */
export class MultifdReceiver {
  readonly #channels: readonly Channel[];
  readonly #ram: GuestRam;
  /** Number of the packet that a page came with, and one more: channels overtake each other. */
  readonly #newest: Float64Array;
  readonly #lanes: LaneReader[] = [];
  readonly #timeout: number;
  #progress: () => void = () => {};

  constructor(channels: readonly Channel[], ram: GuestRam, timeout: number) {
    this.#channels = channels;
    this.#ram = ram;
    this.#timeout = timeout;
    this.#newest = new Float64Array(ram.pages);
  }

  /** Receives until all channels have ended. @throws when one is damaged or breaks */
  async run(handler: DevicePacketHandler): Promise<void> {
    const lanes = this.#channels.map(() => new LaneReader((...page) => this.#page(...page), handler));
    this.#lanes.push(...lanes);
    const receive = async (channel: Channel, lane: LaneReader): Promise<void> => {
      try {
        await channel.receive(async (block) => {
          await lane.write(block);
          this.#progress();
        });
        lane.end = new MigrationError('it ends before what the source has sent');
      } catch (error) {
        lane.end = error as Error;
        throw error;
      } finally {
        this.#progress();
      }
    };
    await Promise.all(this.#channels.map((channel, index) => receive(channel, lanes[index]!)));
  }

  #page(packet: number, address: number, content: Uint8Array | null): void {
    const page = address / PAGE_SIZE;
    if (!Number.isInteger(page) || page >= this.#ram.pages)
      throw new MigrationError(`a multifd packet has a page at 0x${address.toString(16)}, which is not here`);
    if (this.#newest[page]! > packet) return;
    this.#newest[page] = packet + 1;
    if (content === null) this.#ram.fillZero(page);
    else this.#ram.setPage(page, content);
  }

  /** Waits until all came that the source has sent, and holds the checksums against it. @throws MigrationError */
  async finish(digests: readonly ChannelDigest[]): Promise<void> {
    if (digests.length !== this.#channels.length)
      throw new MigrationError(
        `the digest has ${digests.length} channels, here are ${this.#channels.length}`,
      );
    const deadline = performance.now() + this.#timeout;
    for (const { channel, bytes, crc } of digests) {
      const lane = this.#lanes[channel];
      if (lane === undefined)
        throw new MigrationError(`the digest has a channel ${channel}, which is not here`);
      while (lane.bytes < bytes) {
        if (lane.end !== null) throw new MigrationError(`multifd channel ${channel}: ${lane.end.message}`);
        await this.#more(deadline, channel);
      }
      if (lane.bytes !== bytes || lane.checksum !== crc)
        throw new MigrationError(
          `multifd channel ${channel} is damaged: its checksum is not that of the source`,
        );
    }
    // What has come may still be on its way into a device.
    await Promise.all(this.#lanes.map(({ settled }) => settled));
  }

  async #more(deadline: number, channel: number): Promise<void> {
    const left = deadline - performance.now();
    if (left <= 0)
      throw new MigrationError(
        `multifd channel ${channel}: what the source has sent did not come within ${this.#timeout / 1000} s`,
      );
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, left);
      this.#progress = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

type PageHandler = (packet: number, address: number, content: Uint8Array | null) => void;

/** Reads one channel. */
class LaneReader {
  readonly #reader: MultifdReader;
  readonly #onPage: PageHandler;
  readonly #handler: DevicePacketHandler;
  /** Why nothing more comes; null as long as something may. */
  end: Error | null = null;
  /** Done when all that has come was handled. */
  settled: Promise<void> = Promise.resolve();
  readonly #page = new Uint8Array(PAGE_SIZE);
  #filled = 0;
  #packet = 0;
  #pages: number[] = [];
  #device: { idstr: string; index: number; config: boolean; data: Uint8Array; filled: number } | null = null;
  #ready: (() => Promise<void>)[] = [];

  constructor(onPage: PageHandler, handler: DevicePacketHandler) {
    this.#onPage = onPage;
    this.#handler = handler;
    this.#reader = new MultifdReader(
      { item: (item) => this.#item(item), data: (piece) => this.#data(piece) },
      0,
      { checksum: true },
    );
  }

  get bytes(): number {
    return this.#reader.offset;
  }

  get checksum(): number {
    return this.#reader.checksum;
  }

  /** Takes a block; done when the device state in it was handled. */
  write(block: Uint8Array): Promise<void> {
    this.settled = this.#take(block);
    return this.settled;
  }

  async #take(block: Uint8Array): Promise<void> {
    this.#reader.write(block);
    for (let work = this.#ready.shift(); work !== undefined; work = this.#ready.shift()) await work();
  }

  #item(item: MultifdItem): void {
    if (item.kind === 'multifd-ram') {
      if (item.block !== '' && item.block !== RAM_BLOCK)
        throw new MigrationError(
          `a multifd packet is for RAM block ${JSON.stringify(item.block)}, which is not here`,
        );
      this.#packet = Number(item.packet);
      this.#pages = [...item.normal];
      this.#filled = 0;
      for (const address of item.zero) this.#onPage(this.#packet, address, null);
    } else if (item.kind === 'multifd-device') {
      if (item.vfio === undefined) throw new MigrationError(`${item.idstr}: device state that is not VFIO's`);
      if (item.size > MAX_PACKET)
        throw new MigrationError(
          `${item.idstr}: a packet of ${item.size} bytes; at most ${MAX_PACKET} are taken`,
        );
      const { index, config } = item.vfio;
      this.#device = { idstr: item.idstr, index, config, data: new Uint8Array(item.size), filled: 0 };
      this.#deviceDone();
    }
  }

  #data(piece: Uint8Array): void {
    if (this.#device !== null) {
      this.#device.data.set(piece, this.#device.filled);
      this.#device.filled += piece.length;
      this.#deviceDone();
      return;
    }
    for (let at = 0; at < piece.length; ) {
      const part = piece.subarray(at, at + PAGE_SIZE - this.#filled);
      at += part.length;
      if (part.length === PAGE_SIZE) {
        this.#pageDone(part);
        continue;
      }
      this.#page.set(part, this.#filled);
      this.#filled += part.length;
      if (this.#filled === PAGE_SIZE) this.#pageDone(this.#page);
    }
  }

  #pageDone(content: Uint8Array): void {
    this.#filled = 0;
    const address = this.#pages.shift();
    if (address === undefined) throw new MigrationError('a multifd packet has more data than pages');
    this.#onPage(this.#packet, address, content);
  }

  #deviceDone(): void {
    const device = this.#device;
    if (device === null || device.filled < device.data.length) return;
    this.#device = null;
    const { idstr, index, config, data } = device;
    this.#ready.push(() => this.#handler(idstr, index, { data, config }));
  }
}
