import { describe, expect, test } from 'vitest';
import { Workload } from '../../src/migrate/workload.js';
import { parseWhole } from '../../src/stream/index.js';
import { loadVmState, saveVmState } from '../../src/vmstate/index.js';

const PAGE = 4096;
const START = 8 * PAGE;
const PAGES = 16;

function workload(options: { pagesPerSecond?: number; seed?: number } = {}) {
  const ram = new Uint8Array((PAGES + 8) * PAGE);
  const memory = {
    size: ram.length,
    read: (address: number, into: Uint8Array) => into.set(ram.subarray(address, address + into.length)),
    write: (address: number, bytes: Uint8Array) => ram.set(bytes, address),
  };
  const it = new Workload(memory, { pagesPerSecond: 1000, start: START, pages: PAGES, seed: 1, ...options });
  return { ram, it };
}

describe('a guest that dirties memory', () => {
  test('writes at its rate, and what it is late for is lost to it', () => {
    const { it } = workload();
    for (let slice = 0; slice < 100; slice++) it.run(1);
    expect(it.registers.stores).toBe(100n);
    it.run(500);
    expect([it.registers.stores, it.asked, it.given]).toEqual([120n, 600, 120]);
  });

  test('stays in its working set', () => {
    const { ram, it } = workload();
    it.run(20);
    for (let slice = 0; slice < 500; slice++) it.run(20);
    expect(ram.subarray(0, START).every((byte) => byte === 0)).toBe(true);
    for (let page = 8; page < 8 + PAGES; page++)
      expect(
        ram.subarray(page * PAGE, (page + 1) * PAGE).some((byte) => byte !== 0),
        `${page}`,
      ).toBe(true);
  });

  test('does the same for the same seed, and goes on from its registers alone', () => {
    const [one, same, other] = [workload(), workload(), workload({ seed: 2 })];
    for (const { it } of [one, same, other]) it.run(20);
    expect(Buffer.compare(one.ram, same.ram)).toBe(0);
    expect(Buffer.compare(one.ram, other.ram)).not.toBe(0);
    const there = workload({ seed: 99 });
    there.ram.set(one.ram);
    const { description, target } = one.it.state;
    parseWhole(saveVmState(description, target), loadVmState(description, there.it.state.target, 1));
    for (const { it } of [one, there]) it.run(20);
    expect(Buffer.compare(one.ram, there.ram)).toBe(0);
  });

  test('finds out that its last page was lost', () => {
    const { ram, it } = workload();
    expect(it.complaint()).toBeNull();
    it.run(20);
    const page = Math.floor(Number(it.registers.last) / PAGE) * PAGE;
    const before = ram.slice(page, page + PAGE);
    expect(it.complaint()).toBeNull();
    ram.fill(0, page, page + PAGE);
    expect(it.complaint()).toMatch(/^store 20 went to 0x[0-9a-f]+, where store 0 stands now$/);
    ram.set(before, page);
    expect(it.complaint()).toBeNull();
  });

  test('waits for a page that is still to come, and then stores to that page', () => {
    const { it } = workload();
    const waits = it.run(20, () => true);
    expect([waits! >= 8 && waits! < 8 + PAGES, it.registers.stores]).toEqual([true, 0n]);
    expect(it.run(1, () => false)).toBeNull();
    expect(it.registers.stores).toBe(21n);
    const again = workload();
    again.it.run(1, (page) => page !== waits);
    expect(Math.floor(Number(again.it.registers.last) / PAGE)).toBe(waits);
  });
});
