import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type SavedVirtio, VirtioStateSection } from '../../src/migrate/virtio-state.js';
import { parseWhole, StreamError } from '../../src/stream/index.js';
import { encodePackedBase } from '../../src/uapi/vhost.js';
import { featureBits, VIRTIO_FEATURES } from '../../src/uapi/virtio.js';
import { loadVmState, saveVmState, VmStateError } from '../../src/vmstate/index.js';

const { VERSION_1, RING_PACKED } = VIRTIO_FEATURES;
const QUEUES = 5;
const RAM = [
  { gpa: 0, size: 0x10_0000 },
  { gpa: 0x4000_0000, size: 0x40_0000 },
].map((region) => ({ ...region, uaddr: 0, offset: 0, memory: { bytes: new Uint8Array() } }));
const BOUNDS = { regions: RAM, queues: QUEUES, features: featureBits(VERSION_1, RING_PACKED) };

const section = () => new VirtioStateSection('net0', BOUNDS);

/** What another host gets, from bytes that it takes for a section. */
function load(bytes: Uint8Array): SavedVirtio | null {
  const it = section();
  parseWhole(bytes, loadVmState(it.entry.description, it.entry.target, 1), 'the test');
  return it.take();
}

const bytesOf = ({ entry }: VirtioStateSection) => saveVmState(entry.description, entry.target);

function save(saved: SavedVirtio | null): Uint8Array {
  const it = section();
  it.put(saved);
  return bytesOf(it);
}

const ring = (packed: boolean) => (index: number) =>
  fc
    .record({
      order: fc.integer({ min: 0, max: packed ? 1000 : 8 }),
      at: fc.integer({ min: 0, max: 0x300 }),
      avail: fc.nat(0xffff),
      wraps: fc.tuple(fc.boolean(), fc.boolean()),
    })
    .map(({ order, at, avail, wraps: [availWrap, usedWrap] }) => {
      const size = packed ? order + 1 : 1 << order;
      const desc = 0x4000_0000 + at * 0x1000;
      const parts = { desc, avail: desc + 16 * size, used: desc + 0x8000 };
      const place = { avail: avail % size, availWrap, used: (avail >> 3) % size, usedWrap };
      return { index, size, parts, base: packed ? encodePackedBase(place) : avail };
    });

const saved: fc.Arbitrary<SavedVirtio> = fc
  .tuple(fc.boolean(), fc.subarray([0, 1, 2, 3, 4]))
  .chain(([packed, indices]) =>
    fc.record({
      state: fc.record({
        features: fc.constant(featureBits(VERSION_1, ...(packed ? [RING_PACKED] : []))),
        rings: fc.tuple(...indices.map(ring(packed))),
        controlQueue: fc.constantFrom(null, ...indices),
      }),
      control: fc.array(
        fc.record({
          class: fc.nat(255),
          command: fc.nat(255),
          data: fc.uint8Array({ maxLength: 40 }),
        }),
        { maxLength: 8 },
      ),
      backend: fc.option(fc.uint8Array({ maxLength: 100 })),
    }),
  );

describe('what crosses of a virtio device', () => {
  test('is the same on the other side', () => {
    fc.assert(
      fc.property(saved, (before) => {
        const after = load(save(before))!;
        expect(after.state).toEqual(before.state);
        expect(after.control).toEqual(before.control);
        expect(after.backend && [...after.backend]).toEqual(before.backend && [...before.backend]);
      }),
      { numRuns: 200 },
    );
  });

  test('is taken once, and nothing of a device that no driver has set up', () => {
    const it = section();
    expect(it.take()).toBeNull();
    const bytes = save({
      state: { features: 0n, rings: [], controlQueue: null },
      control: [],
      backend: null,
    });
    parseWhole(bytes, loadVmState(it.entry.description, it.entry.target, 1), 'the test');
    expect(it.take()).not.toBeNull();
    expect(it.take()).toBeNull();
    expect(load(save(null))).toBeNull();
  });
});

describe('a hostile stream', () => {
  const good = {
    index: 0,
    size: 64,
    parts: { desc: 0x4000_0000, avail: 0x4000_0400, used: 0x4000_1000 },
    base: 3,
  };
  const stateOf = (changes: object, packed = false, parts = {}): SavedVirtio => ({
    state: {
      features: featureBits(VERSION_1, ...(packed ? [RING_PACKED] : [])),
      rings: [{ ...good, ...changes, parts: { ...good.parts, ...parts } }],
      controlQueue: null,
    },
    control: [],
    backend: null,
  });

  test.each<[string, SavedVirtio, RegExp]>([
    ['a ring of none', stateOf({ size: 0 }), /ring 0 has 0 descriptors/],
    ['an odd size', stateOf({ size: 48 }), /ring 0 has 48 descriptors, no power of two/],
    ['a ring too many', stateOf({ index: QUEUES }), /ring 5 is none of the device, which has 5/],
    ['a base beyond', stateOf({ base: 0x1_0000 }), /goes on at 0x10000, which is outside/],
    ['a packed base beyond', stateOf({ base: 64 }, true), /goes on at 0x40, which is outside/],
    ['a used base beyond', stateOf({ base: 0x0040_8000 }, true), /goes on at 0x408000/],
    ['an odd place', stateOf({}, false, { used: 0x4000_1002 }), /used at 0x40001002, no multiple of 4/],
    ['a place in a hole', stateOf({}, false, { desc: 0x20_0000 }), /desc at 0x200000, outside of guest/],
    ['a ring over the edge', stateOf({}, false, { used: 0x403f_fffc }), /used at 0x403ffffc, outside/],
    ['a place beyond all', stateOf({}, false, { avail: 2 ** 53 - 2 }), /avail at 0x1ffffffffffffe, outside/],
    [
      'features of nobody',
      { ...stateOf({}), state: { ...stateOf({}).state, features: 1n << 63n } },
      /features 0x8000000000000000 are none of the device/,
    ],
    [
      'a ring twice',
      { ...stateOf({}), state: { ...stateOf({}).state, rings: [good, good] } },
      /a ring comes twice/,
    ],
    [
      'a control queue that is not there',
      { ...stateOf({}), state: { ...stateOf({}).state, controlQueue: 2 } },
      /the control queue is ring 2, which does not come/,
    ],
  ])('%s is refused with the reason', (_name, state, reason) => {
    expect(() => load(save(state))).toThrow(VmStateError);
    expect(() => load(save(state))).toThrow(reason);
  });

  test('commands that are cut are refused', () => {
    const it = section();
    it.put(stateOf({}));
    Object.assign(it.entry.target, { control: Uint8Array.of(9, 0, 1, 1), control_length: 4 });
    expect(() => load(bytesOf(it))).toThrow(/commands of the control queue: cut at byte 0 of 4/);
  });

  test('whatever comes is a state that the device can be in, or an error with a reason', () => {
    const base = save(stateOf({}));
    const change = fc.tuple(fc.nat(base.length - 1), fc.uint8Array({ minLength: 1, maxLength: 8 }));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = Uint8Array.from(base);
        for (const [at, noise] of changes) bytes.set(noise.subarray(0, bytes.length - at), at);
        let loaded: SavedVirtio | null;
        try {
          loaded = load(bytes);
        } catch (error) {
          if (!(error instanceof VmStateError) && !(error instanceof StreamError)) throw error;
          expect(error.message.length).toBeGreaterThan(10);
          return;
        }
        for (const { index, size, parts } of loaded?.state.rings ?? []) {
          expect(index).toBeLessThan(QUEUES);
          for (const at of Object.values(parts))
            expect(RAM.some(({ gpa, size: room }) => at >= gpa && at + 4 <= gpa + room)).toBe(true);
          expect(size).toBeGreaterThan(0);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
