import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DeviceError } from '../../src/uapi/device.js';
import { PackedDesc, PackedEvent, splitBytes, USED, VRING_DESC_F, VringDesc } from '../../src/uapi/virtio.js';
import {
  type Chain,
  type DeviceQueue,
  type DeviceQueueOptions,
  type DriverQueueState,
  deviceQueue,
  driverQueue,
  type QueueMemory,
  type QueueOptions,
  type Segment,
} from '../../src/virtio/index.js';

/** Memory from address 0. */
class Memory implements QueueMemory {
  readonly bytes: Uint8Array;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
  }

  read(address: number, into: Uint8Array): void {
    this.#check(address, into.length);
    into.set(this.bytes.subarray(address, address + into.length));
  }

  write(address: number, bytes: Uint8Array): void {
    this.#check(address, bytes.length);
    this.bytes.set(bytes, address);
  }

  #check(address: number, length: number): void {
    if (address + length > this.bytes.length) throw new DeviceError('EFAULT', 'not mapped');
  }
}

function ringOf(packed: boolean, size: number, eventIdx: boolean) {
  const memory = new Memory(0x10000);
  const avail = packed ? PackedDesc.size * size : splitBytes.desc(size);
  const used = avail + (packed ? PackedEvent.size : splitBytes.avail(size));
  const parts = { desc: 0, avail, used: Math.ceil(used / 4) * 4 };
  const options: QueueOptions = { memory, parts, size, features: { eventIdx, indirect: true } };
  return { memory, options, base: packed ? 0x8000_8000 : 0 };
}

/** A ring that has been in use for long: both sides stand at the same place, and nothing is under way. */
function ringAt(packed: boolean, size: number, eventIdx: boolean, begin: number) {
  const ring = ringOf(packed, size, eventIdx);
  const free = Array.from({ length: size }, (_, n) => n);
  const { avail, used } = ring.options.parts;
  const at = packed ? (begin % size) | (begin & 0x8000) : begin;
  const state: DriverQueueState = {
    ...{ free, given: [], avail: at, used: at },
    ...{ kicked: packed ? 0 : at, calls: true },
  };
  if (!packed)
    for (const place of [avail, used]) ring.memory.write(place + USED.idx, Uint8Array.of(at & 0xff, at >> 8));
  return { ...ring, base: packed ? (at | (at << 16)) >>> 0 : at, state };
}

const segments = (address: number, count: number, length: number): Segment[] =>
  Array.from({ length: count }, (_, n) => ({ address: address + n * 64, length: length + n }));

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('add' as const), out: fc.nat(3), in: fc.nat(3) }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('work' as const), count: fc.integer({ min: 1, max: 5 }) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('collect' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('unpop' as const), count: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('restart' as const, 'driver-restart' as const) }) },
);

describe.each([
  ['split', false, fc.constantFrom(1, 2, 4, 16, 64)],
  ['packed', true, fc.constantFrom(1, 2, 3, 7, 16, 31)],
] as const)('%s', (_, packed, sizes) => {
  test('nothing is lost, doubled or reordered, and each write is told', () => {
    let [inTables, wraps] = [0, 0];
    fc.assert(
      fc.property(
        sizes,
        fc.boolean(),
        fc.boolean(),
        fc.oneof(fc.nat(0xffff), fc.integer({ min: 0xfff0, max: 0xffff })),
        fc.array(step, { minLength: 20, maxLength: 200 }),
        (size, eventIdx, hasTables, begin, steps) => {
          const { memory, options, base, state } = ringAt(packed, size, eventIdx, begin);
          const tables = hasTables ? { tables: { address: 0xc000, entries: 4 } } : {};
          const writes: [number, number][] = [];
          const told: [number, number][] = [];
          const watched: QueueMemory = {
            read: (address, into) => memory.read(address, into),
            write: (address, bytes) => {
              memory.write(address, bytes);
              writes.push([address, bytes.length]);
            },
          };
          const wrote: DeviceQueueOptions['wrote'] = (what, offset, length) => {
            told.push([(what === 'desc' ? options.parts.desc : options.parts.used) + offset, length]);
          };
          const deviceOptions = { ...options, memory: watched, wrote };
          let driver = driverQueue(packed, { ...options, ...tables, state });
          let device: DeviceQueue = deviceQueue(packed, { ...deviceOptions, base });
          const given: { token: number; out: Segment[]; into: Segment[] }[] = [];
          const returned: { token: number; length: number }[] = [];
          let [token, collected] = [0, 0];
          const take = () => {
            const chain = device.pop();
            if (chain === null) return null;
            const { out, into } = given[device.taken - 1 + takenBefore]!;
            expect([...chain.readable]).toEqual(out);
            expect([...chain.writable]).toEqual(into);
            const isInTable = hasTables && out.length + into.length > 1 && out.length + into.length <= size;
            expect(chain.descriptors).toBe(
              isInTable && out.length + into.length <= 4 ? 1 : out.length + into.length,
            );
            if (chain.descriptors < out.length + into.length) inTables++;
            return chain;
          };
          let takenBefore = 0;
          const collect = () => {
            for (let next = driver.collect(); next !== null; next = driver.collect())
              expect(next).toEqual(returned[collected++]);
          };
          for (const each of steps) {
            if (each.do === 'add') {
              const out = segments(0x8000, each.out, 7);
              const into = segments(0x9000, each.in, 33);
              if (driver.add(out, into, token)) given.push({ token: token++, out, into });
              else if (each.out + each.in > 0) expect(driver.free).toBeLessThan(each.out + each.in);
            } else if (each.do === 'work') {
              const used: { chain: Chain; written: number }[] = [];
              for (let n = 0; n < each.count; n++) {
                const chain = take();
                if (chain === null) break;
                const room = chain.writable.reduce((sum, { length }) => sum + length, 0);
                const written = room === 0 ? 0 : (n * 29) % (room + 1);
                returned.push({ token: given[returned.length]!.token, length: written });
                used.push({ chain, written });
              }
              device.push(used);
              device.setNotification(each.count % 2 === 0);
              expect(device.returned).toBe(device.taken);
            } else if (each.do === 'unpop') {
              let popped = 0;
              while (popped < each.count && take() !== null) popped++;
              device.unpop(popped);
            } else if (each.do === 'restart') {
              takenBefore += device.taken;
              device = deviceQueue(packed, { ...deviceOptions, base: device.base });
            } else if (each.do === 'driver-restart')
              driver = driverQueue(packed, { ...options, ...tables, state: structuredClone(driver.state) });
            else collect();
          }
          collect();
          expect(collected).toBe(returned.length);
          expect(told).toEqual(writes);
          if (device.base < base) wraps++;
        },
      ),
      { numRuns: 300 },
    );
    expect(inTables).toBeGreaterThan(50);
    expect(wraps).toBeGreaterThan(5);
  });

  test('a side that waits is told: with kicks and calls as they are asked for, traffic never stands still', () => {
    fc.assert(
      fc.property(
        sizes,
        fc.boolean(),
        fc.array(fc.nat(6), { minLength: 30, maxLength: 120 }),
        (size, eventIdx, turns) => {
          const { options, base } = ringOf(packed, size, eventIdx);
          const driver = driverQueue(packed, options);
          const device = deviceQueue(packed, { ...options, base });
          let [kicked, called, sent, got] = [true, true, 0, 0];
          driver.setCalls(true);
          device.setNotification(true);
          const work = () => {
            kicked = false;
            device.setNotification(false);
            for (;;) {
              for (let chain = device.pop(); chain !== null; chain = device.pop())
                device.push([{ chain, written: 0 }]);
              device.setNotification(true);
              const late = device.pop();
              if (late === null) break;
              device.unpop(1);
            }
            called ||= device.needsCall();
          };
          const take = () => {
            called = false;
            while (driver.collect() !== null) got++;
          };
          for (const turn of turns) {
            for (let n = 0; n < turn; n++) if (driver.add([{ address: 0x8000, length: 1 }], [], 0)) sent++;
            kicked ||= driver.needsKick();
            if (kicked) work();
            if (called) take();
          }
          expect(got).toBe(sent);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('a hostile driver', () => {
  const split = () => {
    const { memory, options } = ringOf(false, 4, false);
    const view = new DataView(memory.bytes.buffer);
    const put = (index: number, addr: number, len: number, flags: number, next: number) =>
      memory.write(index * VringDesc.size, VringDesc.encode({ addr: BigInt(addr), len, flags, next }));
    view.setUint16(options.parts.avail + 2, 1, true);
    return { memory, options, view, put, device: deviceQueue(false, { ...options, base: 0 }) };
  };

  test('a loop of descriptors is refused', () => {
    const { put, device } = split();
    put(0, 0, 1, VRING_DESC_F.NEXT, 1);
    put(1, 0, 1, VRING_DESC_F.NEXT, 0);
    expect(() => device.pop()).toThrow(/EINVAL.*no end/);
  });

  test('a descriptor outside the table, and an index too far ahead', () => {
    const { put, device, view, options } = split();
    put(0, 0, 1, VRING_DESC_F.NEXT, 77);
    expect(() => device.pop()).toThrow(/descriptor 77/);
    view.setUint16(options.parts.avail + 2, 9, true);
    expect(() => device.pop()).toThrow(/9 buffers are available in a ring of 4/);
  });

  test('a table inside a table, and one of an odd length', () => {
    const { put, device } = split();
    put(0, 16, 16, VRING_DESC_F.INDIRECT, 0);
    put(1, 16, 16, VRING_DESC_F.INDIRECT, 0);
    expect(() => device.pop()).toThrow(/table inside/);
    put(0, 16, 15, VRING_DESC_F.INDIRECT, 0);
    expect(() => device.pop()).toThrow(/15 bytes/);
  });

  test('memory of any content never hangs the device', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.uint8Array({ minLength: 400, maxLength: 400 }), (packed, noise) => {
        const { memory, options, base } = ringOf(packed, 4, true);
        memory.bytes.set(noise);
        const device = deviceQueue(packed, { ...options, base });
        for (let n = 0; n < 20; n++) {
          try {
            const chain = device.pop();
            if (chain === null) break;
            device.push([{ chain, written: 0 }]);
          } catch (error) {
            expect(error).toBeInstanceOf(DeviceError);
            break;
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  test('a used element of nobody is refused by the driver', () => {
    const { memory, options } = ringOf(false, 4, false);
    const driver = driverQueue(false, options);
    driver.add([{ address: 0x8000, length: 1 }], [], 0);
    const view = new DataView(memory.bytes.buffer);
    view.setUint32(options.parts.used + USED.ring, 3, true);
    view.setUint16(options.parts.used + USED.idx, 1, true);
    expect(() => driver.collect()).toThrow(/buffer 3, which it was not given/);
  });
});
