import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GuestRam } from '../../src/migrate/ram/index.js';
import { RamSnapshot, ramDigest } from '../../src/migrate/ram-snapshot.js';
import type { VirtualMachine } from '../../src/migrate/virtual-machine.js';

const PAGE = 4096;
const PAGES = 64;

/** As much of a VM as a snapshot needs: RAM, and a guest whose stores are told first. */
function machine() {
  const ram = new GuestRam(PAGES * PAGE);
  const vm = { ram, beforeWrite: null as ((page: number) => void) | null };
  const store = (page: number, value: number) => {
    vm.beforeWrite?.(page);
    ram.write(page * PAGE + (value % 4000), Uint8Array.of(value));
  };
  return { ram, vm: vm as unknown as VirtualMachine, store };
}

const stores = fc.array(fc.tuple(fc.nat({ max: PAGES - 1 }), fc.nat({ max: 255 })), { maxLength: 40 });

describe('a digest of RAM that goes on being written', () => {
  test('is that of the moment at which it began', async () => {
    await fc.assert(
      fc.asyncProperty(stores, stores, async (before, after) => {
        const { ram, vm, store } = machine();
        for (const [page, value] of before) store(page, value);
        const expected = ramDigest(ram);
        const snapshot = new RamSnapshot(vm);
        for (const [page, value] of after) store(page, value);
        expect(await snapshot.finish()).toBe(expected);
        expect(vm.beforeWrite).toBeNull();
      }),
      { numRuns: 60 },
    );
  });

  test('differs where a single byte of RAM does', () => {
    const [one, other] = [machine(), machine()];
    for (const { store } of [one, other]) store(5, 77);
    expect(ramDigest(one.ram)).toBe(ramDigest(other.ram));
    other.store(63, 1);
    expect(ramDigest(one.ram)).not.toBe(ramDigest(other.ram));
  });

  test('does not tell a page that was never written from one of zeros', () => {
    const [one, other] = [machine(), machine()];
    other.store(9, 200);
    other.ram.write(9 * PAGE, new Uint8Array(PAGE));
    expect(ramDigest(one.ram)).toBe(ramDigest(other.ram));
  });
});
