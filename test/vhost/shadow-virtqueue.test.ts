import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { featureBits, VIRTIO_FEATURES, VIRTIO_NET_CTRL } from '../../src/uapi/virtio.js';
import { runsOf, VhostDevice, type VirtioState } from '../../src/vhost/index.js';
import {
  type DriverQueue,
  driverQueue,
  type QueueMemory,
  type QueueParts,
  type Segment,
} from '../../src/virtio/index.js';
import { ToyVdpa } from './toy-vdpa.js';

const PAGE = 4096;
const SIZE = 8;
/** Rings stand in the first pages; buffers behind them, across the edge of the two regions that memory has. */
const [PAGES, EDGE, BUFFERS] = [12, 7, 3 * PAGE + 100];
const SLOT = 600;
const [DATA, CONTROL] = [0, 1];

const partsOf = (index: number): QueueParts => ({
  desc: index * 0x800,
  avail: index * 0x800 + 0x200,
  used: PAGE + index * PAGE,
});

/** A guest on a device that a VMM puts shadow virtqueues before, and takes them away from. */
class Rig {
  readonly bytes = new Uint8Array(PAGES * PAGE);
  /** Memory as it would be if the guest alone wrote it, since the VMM looked last. */
  readonly expected = new Uint8Array(PAGES * PAGE);
  readonly toy: ToyVdpa;
  readonly device: VhostDevice;
  readonly errors: Error[] = [];
  readonly data: DriverQueue;
  readonly control: DriverQueue;
  /** Buffers of the guest, by token: what is to be in their readable part. */
  readonly given = new Map<number, { out: Segment; into: Segment }>();
  #token = 0;
  #due: number[] = [];
  readonly wanted = new Set<number>();
  readonly vlans = new Set<number>();
  #commands = new Map<number, () => void>();
  answered = 0;
  sentCommands = 0;
  collected = 0;
  #seed = 1;
  readonly #missing = new Set<number>();

  constructor(eventIdx: boolean, suspends: boolean) {
    this.toy = new ToyVdpa(2, suspends);
    const region = (from: number, to: number, uaddr: number) => ({
      ...{ gpa: from * PAGE, size: (to - from) * PAGE, uaddr, offset: from * PAGE },
      memory: { bytes: this.bytes },
    });
    let own = 2 ** 46;
    this.device = new VhostDevice({
      backend: this.toy.backend,
      regions: [region(0, EDGE, 2 ** 45), region(EDGE, PAGES, 2 ** 45 + 2 ** 30)],
      allocate: (bytes) => {
        own += 2 ** 20;
        return { bytes: new Uint8Array(bytes), address: own };
      },
      call: () => {},
      settle: () => this.answer(),
      broken: (_, error) => {
        this.errors.push(error);
      },
    });
    const queue = (index: number) =>
      driverQueue(false, {
        memory: this.guest,
        parts: partsOf(index),
        size: SIZE,
        features: { eventIdx, indirect: false },
      });
    [this.data, this.control] = [queue(DATA), queue(CONTROL)];
    const bits = eventIdx ? [VIRTIO_FEATURES.EVENT_IDX] : [];
    const state: VirtioState = {
      features: featureBits(VIRTIO_FEATURES.VERSION_1, ...bits),
      rings: [DATA, CONTROL].map((index) => ({ index, size: SIZE, parts: partsOf(index), base: 0 })),
      controlQueue: CONTROL,
    };
    this.device.state = state;
  }

  readonly guest: QueueMemory = {
    read: (address, into) => into.set(this.bytes.subarray(address, address + into.length)),
    write: (address, bytes) => {
      this.bytes.set(bytes, address);
      this.expected.set(bytes, address);
    },
  };

  /** The guest gives a buffer: bytes to read, and place to write, anywhere. */
  add(out: number, into: number): void {
    const token = this.#token;
    const at = BUFFERS + (token % (2 * SIZE)) * 2 * SLOT;
    const buffer = { out: { address: at, length: out }, into: { address: at + SLOT, length: into } };
    this.guest.write(at, new Uint8Array(out).fill(token));
    if (!this.data.add([buffer.out], [buffer.into], token)) return;
    this.#token++;
    this.given.set(token, buffer);
    this.#due.push(token);
    if (this.data.needsKick()) this.device.kick(DATA);
  }

  command(vlan: number, adds: boolean): void {
    const { class: kind, ADD, DEL } = VIRTIO_NET_CTRL.VLAN;
    const at = 2 * PAGE + 1024 + (this.sentCommands % SIZE) * 16;
    this.guest.write(at, Uint8Array.of(kind, adds ? ADD : DEL, vlan, 0));
    this.guest.write(at + 8, Uint8Array.of(0xff));
    if (!this.control.add([{ address: at, length: 4 }], [{ address: at + 8, length: 1 }], this.sentCommands))
      return;
    if (adds) this.wanted.add(vlan);
    else this.wanted.delete(vlan);
    this.#commands.set(this.sentCommands++, () => expect(this.bytes[at + 8]).toBe(0));
    if (this.control.needsKick()) this.device.kick(CONTROL);
  }

  /** The device works on buffers; the last ones it only begins. */
  work(count: number, held: number): void {
    for (let n = 0; n < count + held; n++) if (this.toy.take(DATA) === null) break;
    const { held: chains } = this.toy.rings[DATA]!;
    const memory = this.toy.memoryOf(DATA);
    for (const [n, { readable, writable }] of chains.entries()) {
      const sent = new Uint8Array(readable.reduce((sum, { length }) => sum + length, 0));
      let at = 0;
      for (const { address, length } of readable) {
        memory.read(address, sent.subarray(at, at + length));
        at += length;
      }
      expect([...new Set(sent)]).toEqual(sent.length === 0 ? [] : [this.#due[n]! & 0xff]);
      for (const { address, length } of writable)
        memory.write(address, new Uint8Array(length).fill(this.#due[n]! ^ 0xff ^ this.#seed));
    }
    for (let n = 0; n < count && chains.length > 0; n++) {
      const [{ writable }] = chains as [(typeof chains)[0]];
      const room = writable.reduce((sum, { length }) => sum + length, 0);
      const token = this.#due.shift()!;
      // What is returned is final.
      let left = room;
      for (const { address, length } of writable) {
        memory.write(address, new Uint8Array(Math.min(left, length)).fill(token ^ 0xff));
        left -= length;
      }
      this.toy.giveBack(DATA, room);
    }
    this.#seed = (this.#seed * 5 + 1) & 0x3f;
  }

  /** The device answers commands. */
  answer(): void {
    while (this.toy.take(CONTROL) !== null) {
      const [{ readable, writable }] = this.toy.rings[CONTROL]!.held as [
        (typeof this.toy.rings)[0]['held'][0],
      ];
      const memory = this.toy.memoryOf(CONTROL);
      const bytes = new Uint8Array(4);
      memory.read(readable[0]!.address, bytes);
      if (bytes[1] === VIRTIO_NET_CTRL.VLAN.ADD) this.vlans.add(bytes[2]!);
      else this.vlans.delete(bytes[2]!);
      memory.write(writable[0]!.address, Uint8Array.of(0));
      this.toy.giveBack(CONTROL, 1);
    }
  }

  /** The guest takes what was returned, in its order. */
  collect(): void {
    for (let used = this.data.collect(); used !== null; used = this.data.collect()) {
      expect(used.token).toBe(this.collected++);
      const { into } = this.given.get(used.token)!;
      expect(used.length).toBe(into.length);
      const bytes = this.bytes.subarray(into.address, into.address + into.length);
      expect(bytes.every((byte) => byte === ((used!.token ^ 0xff) & 0xff))).toBe(true);
    }
    for (let used = this.control.collect(); used !== null; used = this.control.collect()) {
      expect(used.token).toBe(this.answered++);
      this.#commands.get(used.token)!();
    }
  }

  /**
   * What somebody else has written has its bit: at the latest when the device has stopped, for a buffer that it has
   * only begun is known when it comes back.
   * @param final the device has stopped since the last look
   */
  look(final: boolean): number {
    const pages = new Set(
      runsOf(this.device.readLog(final)).flatMap(([first, count]) =>
        Array.from({ length: count }, (_, n) => first + n),
      ),
    );
    for (let page = 0; page < PAGES; page++) {
      const [from, to] = [page * PAGE, (page + 1) * PAGE];
      if (Buffer.compare(this.bytes.subarray(from, to), this.expected.subarray(from, to)) !== 0)
        this.#missing.add(page);
    }
    this.expected.set(this.bytes);
    for (const page of pages) this.#missing.delete(page);
    if (final) expect([...this.#missing]).toEqual([]);
    return pages.size;
  }

  async shadow(on: boolean): Promise<void> {
    if (on) await this.device.startLog();
    await this.device.setShadow(on);
    if (on) {
      this.device.readLog(false);
      this.expected.set(this.bytes);
      this.#missing.clear();
    } else {
      this.look(true);
      await this.device.stopLog();
    }
  }
}

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('add' as const),
      out: fc.integer({ min: 1, max: SLOT }),
      into: fc.integer({ min: 1, max: SLOT }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('work' as const), count: fc.nat(4), held: fc.nat(2) }),
  },
  { weight: 3, arbitrary: fc.constant({ do: 'collect' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('command' as const), vlan: fc.nat(3), adds: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'answer' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'look' as const }) },
  { weight: 2, arbitrary: fc.constant({ do: 'switch' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
);

describe('shadow virtqueues that come and go', () => {
  test('nothing is lost, doubled or reordered, and every page that the device changes is known', async () => {
    let [switches, pages, frames, commands] = [0, 0, 0, 0];
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.boolean(),
        fc.array(step, { minLength: 20, maxLength: 120 }),
        async (eventIdx, suspends, steps) => {
          const rig = new Rig(eventIdx, suspends);
          await rig.device.open();
          await rig.device.start();
          let isOn = false;
          for (const each of steps) {
            if (each.do === 'add') rig.add(each.out, each.into);
            else if (each.do === 'work') rig.work(each.count, each.held);
            else if (each.do === 'collect') rig.collect();
            else if (each.do === 'command') rig.command(each.vlan, each.adds);
            else if (each.do === 'answer') rig.answer();
            else if (each.do === 'look' && isOn) pages += rig.look(false);
            else if (each.do === 'restart') {
              await rig.device.stop();
              // The device forgets.
              rig.vlans.clear();
              if (isOn) pages += rig.look(true);
              await rig.device.start();
            } else if (each.do === 'switch') {
              rig.vlans.clear();
              isOn = !isOn;
              await rig.shadow(isOn);
              switches++;
            }
          }
          for (let n = 0; n < 40; n++) {
            rig.work(4, 0);
            rig.answer();
            rig.collect();
          }
          expect(rig.errors).toEqual([]);
          expect(rig.collected).toBe(rig.given.size);
          expect(rig.answered).toBe(rig.sentCommands);
          expect([...rig.vlans].toSorted()).toEqual([...rig.wanted].toSorted());
          await rig.device.stop();
          if (isOn) pages += rig.look(true);
          frames += rig.collected;
          commands += rig.answered;
        },
      ),
      { numRuns: 200 },
    );
    expect(switches).toBeGreaterThan(500);
    expect(pages).toBeGreaterThan(500);
    expect(frames).toBeGreaterThan(1000);
    expect(commands).toBeGreaterThan(500);
  }, 120_000);
});

describe('a guest that has broken its ring', () => {
  const broken = async (breaks: (rig: Rig) => void, eventIdx = false) => {
    const rig = new Rig(eventIdx, true);
    await rig.device.open();
    await rig.device.start();
    await rig.shadow(true);
    breaks(rig);
    rig.device.kick(DATA);
    rig.device.kick(CONTROL);
    return rig;
  };
  /** Puts a descriptor of one ring in, and offers it. */
  const offer = (rig: Rig, index: number, address: number, length: number, flags = 0, next = 0) => {
    const { desc, avail } = partsOf(index);
    const view = new DataView(rig.bytes.buffer);
    view.setBigUint64(desc, BigInt(address), true);
    view.setUint32(desc + 8, length, true);
    view.setUint16(desc + 12, flags, true);
    view.setUint16(desc + 14, next, true);
    view.setUint16(avail + 2, 1, true);
  };

  test.each([
    ['a loop of descriptors', (rig: Rig) => offer(rig, DATA, BUFFERS, 1, 1, 0), /no end/],
    ['a buffer outside of memory', (rig: Rig) => offer(rig, DATA, 2 ** 30, 1), /EFAULT/],
    ['a command outside of memory', (rig: Rig) => offer(rig, CONTROL, 2 ** 30, 4), /EFAULT/],
  ])('%s stops this ring, and is told once', async (_, breaks, message) => {
    const rig = await broken(breaks);
    expect(rig.errors).toHaveLength(1);
    expect(rig.errors[0]!.message).toMatch(message);
    rig.device.kick(DATA);
    rig.device.kick(CONTROL);
    expect(rig.errors).toHaveLength(1);
    // What it has broken stands where it was.
    await rig.device.stop();
    expect(rig.device.state!.rings.map(({ base }) => base)).toEqual([0, 0]);
  });

  test('a command that is longer than any is answered with an error, and the device does not see it', async () => {
    const rig = await broken((each) => {
      const { desc } = partsOf(CONTROL);
      offer(each, CONTROL, BUFFERS, 9000, 1, 1);
      const view = new DataView(each.bytes.buffer);
      view.setBigUint64(desc + 16, BigInt(BUFFERS + 9000), true);
      view.setUint32(desc + 24, 1, true);
      view.setUint16(desc + 28, 2, true);
    });
    expect(rig.errors).toEqual([]);
    expect(rig.toy.take(CONTROL)).toBeNull();
    expect(rig.bytes[BUFFERS + 9000]).toBe(1);
    await rig.device.stop();
    expect(rig.device.state!.rings[CONTROL]!.base).toBe(1);
  });
});
