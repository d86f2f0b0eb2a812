import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DeviceReceiver } from '../../src/migrate/device-receiver.js';
import { MultifdReceiver } from '../../src/migrate/multifd-receiver.js';
import { GuestRam } from '../../src/migrate/ram/index.js';
import type { VfioDevice } from '../../src/migrate/vfio-device.js';
import { MultifdWriter } from '../../src/stream/index.js';
import { FakeChannel } from './fake-channel.js';

const PAGE = 4096;
const TIMEOUT = 200;

/** A device that takes a few bytes at a time, and not at once. */
function slowDevice() {
  const taken: number[] = [];
  let writing = false;
  const write = async (bytes: Uint8Array) => {
    expect(writing, 'one write at a time').toBe(false);
    writing = true;
    await new Promise((resolve) => setImmediate(resolve));
    writing = false;
    const some = bytes.subarray(0, 3);
    taken.push(...some);
    return some.length;
  };
  const device = { name: 'vf0', fd: { write }, tell() {}, destination: { take() {} } };
  return { taken, device: device as unknown as VfioDevice };
}

describe('device state in packets', () => {
  /** Packets that arrive in this order, before or after the switchover began, by channels that do not wait for each other. */
  async function receive(order: readonly number[], switchover: number, count: number) {
    const { taken, device } = slowDevice();
    const receiver = new DeviceReceiver(device, { multifd: true });
    let config: Uint8Array | null = null;
    const onConfig = async (payload: Uint8Array) => {
      config = payload;
    };
    const waiting: Promise<void>[] = [];
    for (const [at, index] of order.entries()) {
      if (at === switchover) {
        receiver.switchoverStarts();
        waiting.push(receiver.loadDue(onConfig));
      }
      const packet = { data: Uint8Array.of(index, index, index, index, index), config: index === count - 1 };
      waiting.push(receiver.packet(index, packet, onConfig));
      if (at % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(waiting);
    return { taken, config: config as Uint8Array | null, receiver };
  }

  test('is written in its order, in whatever order the packets come', async () => {
    const order = fc
      .integer({ min: 1, max: 9 })
      .chain((count) => fc.shuffledSubarray([...new Array(count).keys()], { minLength: count }));
    await fc.assert(
      fc.asyncProperty(order, fc.nat({ max: 8 }), async (indexes, at) => {
        const count = indexes.length;
        const { taken, config, receiver } = await receive(indexes, at % count, count);
        const expected = [...new Array(count - 1).keys()].flatMap((index) => new Array(5).fill(index));
        expect(taken).toEqual(expected);
        expect([...config!]).toEqual(new Array(5).fill(count - 1));
        expect(receiver.complete).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('is not complete as long as a packet is missing', async () => {
    const { taken, config, receiver } = await receive([0, 3, 2, 4], 0, 5);
    expect([taken, config, receiver.complete]).toEqual([[0, 0, 0, 0, 0], null, false]);
  });

  test('has every packet once', async () => {
    await expect(receive([0, 1, 1], 0, 5)).rejects.toThrow('vf0: packet 1 comes twice');
    await expect(receive([2, 2], 0, 5)).rejects.toThrow('vf0: packet 2 comes twice');
  });

  test('does not wait for a packet with ever more memory', async () => {
    const receiver = new DeviceReceiver(slowDevice().device, { multifd: true });
    const data = new Uint8Array(1 << 20);
    const flood = async () => {
      for (let index = 1; index < 100; index++)
        await receiver.packet(index, { data, config: false }, async () => {});
    };
    await expect(flood()).rejects.toThrow('more than 67108864 bytes of packets wait for packet 0');
  });
});

describe('multifd channels', () => {
  /** What a source sends on each channel: page `page` with the packet's number, in the order of `plan`. */
  async function channels(plan: readonly { channel: number; page: number }[], count = 2) {
    const bytes: number[][] = Array.from({ length: count }, () => []);
    const writers = bytes.map(
      (all) => new MultifdWriter((piece) => void all.push(...piece), { checksum: true }),
    );
    for (const [channel, writer] of writers.entries())
      await writer.item({ kind: 'multifd-init', uuid: new Uint8Array(16), channel });
    for (const [packet, { channel, page }] of plan.entries()) {
      const head = { kind: 'multifd-ram', flags: 0, allocated: 128, block: 'pc.ram' } as const;
      const item = { ...head, packet: BigInt(packet), normal: [page * PAGE], zero: [], size: PAGE };
      await writers[channel]!.item(item);
      await writers[channel]!.data(new Uint8Array(PAGE).fill(packet + 1));
    }
    for (const writer of writers) await writer.flush();
    const digests = writers.map((writer, channel) => ({
      ...{ channel, bytes: writer.offset, crc: writer.checksumSoFar() },
    }));
    return { bytes: bytes.map((all) => Uint8Array.from(all)), digests };
  }

  async function received(
    bytes: readonly Uint8Array[],
    digests: Awaited<ReturnType<typeof channels>>['digests'],
    { first = 0, open = false } = {},
  ) {
    const ends = bytes.map(() => new FakeChannel());
    const ram = new GuestRam(16 * PAGE);
    const receiver = new MultifdReceiver(ends, ram, TIMEOUT);
    const running = receiver.run(async () => {});
    running.catch(() => {});
    // One channel is ahead of the other.
    for (const index of [first, 1 - first]) {
      for (let at = 0; at < bytes[index]!.length; at += 1500)
        await Promise.race([ends[index]!.deliver(bytes[index]!.slice(at, at + 1500)), running]).catch(
          () => {},
        );
      if (!open) ends[index]!.close();
    }
    const started = performance.now();
    const error = await receiver.finish(digests).then(
      () => null,
      (reason: Error) => reason.message,
    );
    for (const end of ends) end.destroy();
    return { ram, error, waited: performance.now() - started };
  }

  test('the newest content of a page stays, whichever channel is ahead', async () => {
    const plan = fc.array(fc.record({ channel: fc.nat({ max: 1 }), page: fc.nat({ max: 5 }) }), {
      maxLength: 12,
    });
    await fc.assert(
      fc.asyncProperty(plan, fc.nat({ max: 1 }), async (packets, first) => {
        const { bytes, digests } = await channels(packets);
        const { ram, error } = await received(bytes, digests, { first });
        expect(error).toBeNull();
        for (let page = 0; page < 16; page++) {
          const last = packets.findLastIndex((packet) => packet.page === page);
          expect(ram.page(page)[17]).toBe(last + 1);
        }
      }),
      { numRuns: 20 },
    );
  });

  const PLAN = [0, 1, 0, 1].map((channel, page) => ({ channel, page }));

  test('a byte that was changed is noticed', async () => {
    const { bytes, digests } = await channels(PLAN);
    const changed = bytes[1]!.slice();
    changed[changed.length - 100]! ^= 1;
    const { error } = await received([bytes[0]!, changed], digests);
    expect(error).toBe('multifd channel 1 is damaged: its checksum is not that of the source');
  });

  test('a channel that ends too early, or is broken, is noticed at once', async () => {
    const { bytes, digests } = await channels(PLAN);
    const cut = await received([bytes[0]!, bytes[1]!.slice(0, -50)], digests);
    expect(cut.error).toBe('multifd channel 1: it ends before what the source has sent');
    const broken = bytes[1]!.slice();
    broken[0] = 0;
    const refused = await received([bytes[0]!, broken], digests);
    expect(refused.error).toMatch(/^multifd channel 1: expected/);
    expect(Math.max(cut.waited, refused.waited)).toBeLessThan(TIMEOUT);
  });

  test('what does not come is not waited for without end', async () => {
    const { bytes, digests } = await channels(PLAN);
    const { error } = await received([bytes[0]!, bytes[1]!.slice(0, -50)], digests, { open: true });
    expect(error).toBe('multifd channel 1: what the source has sent did not come within 0.2 s');
  });

  test('the end waits for the device that takes the last packet', async () => {
    const all: number[] = [];
    const writer = new MultifdWriter((piece) => void all.push(...piece), { checksum: true });
    await writer.item({ kind: 'multifd-init', uuid: new Uint8Array(16), channel: 0 });
    const vfio = { index: 0, config: false };
    await writer.item({ kind: 'multifd-device', flags: 0, idstr: 'vf0/vfio', instance: 0, vfio, size: 4 });
    await writer.data(Uint8Array.of(1, 2, 3, 4));
    await writer.flush();
    const end = new FakeChannel();
    const receiver = new MultifdReceiver([end], new GuestRam(PAGE), TIMEOUT);
    let done = false;
    receiver
      .run(async () => {
        await new Promise((resolve) => setTimeout(resolve, 30));
        done = true;
      })
      .catch(() => {});
    void end.deliver(Uint8Array.from(all));
    await receiver.finish([{ channel: 0, bytes: writer.offset, crc: writer.checksumSoFar() }]);
    expect(done).toBe(true);
    end.destroy();
  });

  test('more than the source has sent, and other channels than there are, are noticed', async () => {
    const { bytes, digests } = await channels(PLAN);
    const [one, two] = digests;
    expect((await received(bytes, [one!])).error).toBe('the digest has 1 channels, here are 2');
    const other = { ...two!, channel: 7 };
    expect((await received(bytes, [one!, other])).error).toMatch(/a channel 7, which is not here/);
    const less = { ...two!, bytes: two!.bytes - 1 };
    expect((await received(bytes, [one!, less])).error).toMatch(/channel 1 is damaged/);
  });
});
