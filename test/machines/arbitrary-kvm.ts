import fc from 'fast-check';
import type { KvmCall } from '../../src/machines/index.js';

/** A step of a random use of KVM's dirty logging. */
export type KvmStep =
  | KvmCall
  | { call: 'write'; slot: number; page: number }
  | { call: 'harvest'; count: number };

const slot = fc.constantFrom(0, 0, 0, 1, 2, 32_764);
/** Few, so that they meet again: neighbours, ends of words, the last ones of each slot. */
const page = fc.constantFrom(0, 1, 2, 62, 63, 64, 65, 98, 99, 128, 129);
const PAGES = [100, 64, 130];
const sized = (number: number) => PAGES[number % PAGES.length]! * 4096;

const memslot = fc
  .record({
    slot,
    log: fc.boolean(),
    readonly: fc.constantFrom(false, false, false, true),
    moved: fc.constantFrom(0, 0, 0, 0x100_0000, 0x40_0000, 512),
    size: fc.constantFrom('own', 'own', 'own', 'own', 'none', 'other'),
  })
  .map(
    ({ slot: number, log, readonly, moved, size }): KvmCall => ({
      call: 'memslot',
      slot: number,
      log,
      readonly: readonly && number === 2,
      gpa: number * 0x40_0000 + moved,
      size: size === 'own' ? sized(number) : size === 'none' ? 0 : 4096,
      uaddr: 0x1000_0000 + number * 0x100_0000,
    }),
  );

const clear = fc
  .record({
    slot,
    first: fc.constantFrom(0, 0, 64, 128, 1),
    pages: fc.constantFrom(64, 36, 100, 66, 2, 0, 63, 128),
    set: fc.array(page, { maxLength: 8 }),
  })
  .map((fields): KvmCall => ({ call: 'clear_dirty_log', ...fields }));

const writes = fc.record({
  call: fc.constant('write' as const),
  slot: fc.constantFrom(0, 0, 1, 2),
  page,
});

/** Bitmaps: no ring is asked for. */
const bitmapStep: fc.Arbitrary<KvmStep> = fc.oneof(
  { weight: 4, arbitrary: memslot },
  { weight: 12, arbitrary: writes },
  { weight: 5, arbitrary: slot.map((number): KvmCall => ({ call: 'get_dirty_log', slot: number })) },
  { weight: 4, arbitrary: clear },
  {
    weight: 1,
    arbitrary: fc.constantFrom(0, 1, 2, 3, 4).map((flags): KvmCall => ({ call: 'manual_protect', flags })),
  },
  { weight: 1, arbitrary: fc.constant<KvmCall>({ call: 'create_vcpu' }) },
  { weight: 1, arbitrary: fc.constant<KvmCall>({ call: 'reset_dirty_rings' }) },
);

const ringStep: fc.Arbitrary<KvmStep> = fc.oneof(
  { weight: 10, arbitrary: bitmapStep },
  { weight: 4, arbitrary: fc.nat(6).map((count) => ({ call: 'harvest' as const, count })) },
  { weight: 3, arbitrary: fc.constant<KvmCall>({ call: 'reset_dirty_rings' }) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(65_536, 4096, 5000, 1 << 21, 0)
      .map((bytes): KvmCall => ({ call: 'dirty_ring', bytes })),
  },
  { weight: 1, arbitrary: fc.constant<KvmCall>({ call: 'dirty_ring_with_bitmap' }) },
);

/** Long ones, whatever size is usual for arrays. */
const LONG = { maxLength: 60, size: 'max' } as const;
const aSlot: KvmCall = {
  call: 'memslot',
  slot: 0,
  log: true,
  readonly: false,
  gpa: 0,
  size: sized(0),
  uaddr: 0x1000_0000,
};
const head =
  (...steps: KvmStep[]) =>
  (tail: KvmStep[]) => [...steps, ...tail];

/** Random sequences, half of which begin with a slot that logs, in each way in which a VM can log. */
export const kvmSequences: fc.Arbitrary<KvmStep[]> = fc.oneof(
  fc.array(bitmapStep, LONG),
  fc.array(bitmapStep, LONG).map(head(aSlot)),
  fc.array(bitmapStep, LONG).map(head({ call: 'manual_protect', flags: 1 }, aSlot)),
  fc.array(bitmapStep, LONG).map(head({ call: 'manual_protect', flags: 3 }, aSlot)),
  fc.array(ringStep, LONG),
  fc.array(ringStep, LONG).map(head({ call: 'dirty_ring', bytes: 65_536 }, { call: 'create_vcpu' }, aSlot)),
);
