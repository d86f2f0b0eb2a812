import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DeviceError } from '../../src/uapi/device.js';
import { PackedDesc, PackedEvent, splitBytes, USED, VRING_DESC_F, VringDesc } from '../../src/uapi/virtio.js';
import {
  type Chain,
  type DeviceQueue,
  type DeviceQueueOptions,
  deviceQueue,
  driverQueue,
  type QueueMemory,
  type QueueOptions,
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
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
);

describe.each([
  ['split', false, fc.constantFrom(1, 2, 4, 16, 64)],
  ['packed', true, fc.constantFrom(1, 2, 3, 7, 16, 31)],
] as const)('%s', (_, packed, sizes) => {
  test('nothing is lost, doubled or reordered, and each write is told', () => {
    fc.assert(
      fc.property(
        sizes,
        fc.boolean(),
        fc.array(step, { minLength: 20, maxLength: 200 }),
        (size, eventIdx, steps) => {
          const { memory, options, base } = ringOf(packed, size, eventIdx);
          const told = new Uint8Array(memory.bytes.length);
          const wrote: DeviceQueueOptions['wrote'] = (what, offset, length) => {
            const from = what === 'desc' ? options.parts.desc : options.parts.used;
            told.fill(1, from + offset, from + offset + length);
          };
          let driver = driverQueue(packed, options);
          let device: DeviceQueue = deviceQueue(packed, { ...options, base, wrote });
          const given: { token: number; room: number }[] = [];
          const returned: { token: number; length: number }[] = [];
          let [token, collected] = [0, 0];
          const watched = (work: () => void) => {
            told.fill(0);
            const before = memory.bytes.slice();
            work();
            for (let at = 0; at < before.length; at++)
              if (memory.bytes[at] !== before[at]) expect(told[at], `byte ${at} was told`).toBe(1);
          };
          for (const each of steps) {
            if (each.do === 'add') {
              const out = Array.from({ length: each.out }, (_x, n) => ({
                address: 0x8000 + n * 16,
                length: 7 + n,
              }));
              const into = Array.from({ length: each.in }, (_x, n) => ({
                address: 0x9000 + n * 64,
                length: 33 + n,
              }));
              if (driver.add(out, into, token)) {
                const room = into.reduce((sum, { length }) => sum + length, 0);
                given.push({ token: token++, room });
              }
            } else if (each.do === 'work')
              watched(() => {
                const used: { chain: Chain; written: number }[] = [];
                for (let n = 0; n < each.count; n++) {
                  const chain = device.pop();
                  if (chain === null) break;
                  const next = given[returned.length]!;
                  const room = chain.writable.reduce((sum, { length }) => sum + length, 0);
                  expect(room).toBe(next.room);
                  returned.push({ token: next.token, length: room });
                  used.push({ chain, written: room });
                }
                device.push(used);
                device.setNotification(each.count % 2 === 0);
              });
            else if (each.do === 'unpop') {
              let popped = 0;
              while (popped < each.count && device.pop() !== null) popped++;
              device.unpop(popped);
            } else if (each.do === 'restart')
              device = deviceQueue(packed, { ...options, base: device.base, wrote });
            else if (each.do === 'driver-restart')
              driver = driverQueue(packed, { ...options, state: structuredClone(driver.state) });
            else
              for (let next = driver.collect(); next !== null; next = driver.collect())
                expect(next).toEqual(returned[collected++]);
          }
          for (let next = driver.collect(); next !== null; next = driver.collect())
            expect(next).toEqual(returned[collected++]);
          expect(collected).toBe(returned.length);
        },
      ),
      { numRuns: 300 },
    );
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
