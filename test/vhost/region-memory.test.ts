import { expect, test } from 'vitest';
import { IovaTree } from '../../src/vhost/index.js';
import { RegionMemory } from '../../src/vhost/region-memory.js';

const PAGE = 4096;

/** Two regions, one behind the other by address and not by memory, and one apart. */
function memory() {
  const bytes = [new Uint8Array(PAGE), new Uint8Array(2 * PAGE), new Uint8Array(PAGE)];
  const region = (n: number, gpa: number, size: number, offset: number) => ({
    ...{ gpa, size, offset, uaddr: 2 ** 40 + gpa },
    memory: { bytes: bytes[n]! },
  });
  return {
    bytes,
    regions: [region(0, PAGE, PAGE, 0), region(1, 2 * PAGE, PAGE, PAGE), region(2, 8 * PAGE, PAGE, 0)],
  };
}

test('what goes over the edge of a region is read and written whole, and told once', () => {
  const { bytes, regions } = memory();
  const told: string[] = [];
  const guest = new RegionMemory(
    () => regions,
    (address, length) => told.push(`wrote ${address} ${length}`),
    (address, length) => told.push(`writes ${address} ${length} ${bytes[0]![PAGE - 1]}`),
  );
  guest.write(2 * PAGE - 1, Uint8Array.of(1, 2, 3));
  expect([bytes[0]![PAGE - 1], bytes[1]![PAGE], bytes[1]![PAGE + 1]]).toEqual([1, 2, 3]);
  expect(told).toEqual([`writes ${2 * PAGE - 1} 3 0`, `wrote ${2 * PAGE - 1} 3`]);
  const into = new Uint8Array(4);
  guest.read(2 * PAGE - 1, into);
  expect([...into]).toEqual([1, 2, 3, 0]);
});

test('what is not in memory is refused, and nothing of it is written or told', () => {
  const { bytes, regions } = memory();
  const told: string[] = [];
  const tell = () => told.push('told');
  const guest = new RegionMemory(() => regions, tell, tell);
  expect(() => guest.write(3 * PAGE - 1, Uint8Array.of(1, 2))).toThrow(
    /EFAULT: no guest memory is at 0x3000/,
  );
  expect(() => guest.read(0, new Uint8Array(1))).toThrow(/EFAULT/);
  expect(() => guest.write(2 ** 60, Uint8Array.of(1))).toThrow(/EFAULT/);
  expect(bytes[1]![2 * PAGE - 1]).toBe(0);
  expect(told).toEqual([]);
});

test('guest memory has a piece of I/O addresses for each region that it stands in', () => {
  const tree = new IovaTree(2 ** 40);
  const second = tree.map(2 * PAGE, PAGE);
  const own = tree.take(100);
  const first = tree.map(PAGE, PAGE);
  expect([second, own, first]).toEqual([2 ** 40, 2 ** 40 + PAGE, 2 ** 40 + 2 * PAGE]);
  expect(tree.piecesOf({ address: 2 * PAGE - 4, length: 10 })).toEqual([
    { address: first + PAGE - 4, length: 4 },
    { address: second, length: 6 },
  ]);
  expect(tree.piecesOf({ address: PAGE, length: 0 })).toEqual([{ address: first, length: 0 }]);
  expect(() => tree.piecesOf({ address: 3 * PAGE - 1, length: 2 })).toThrow(/EFAULT/);
  expect(tree.unmap(PAGE, PAGE)).toBe(first);
  expect(tree.unmap(PAGE, PAGE)).toBeNull();
  expect(() => tree.piecesOf({ address: PAGE, length: 1 })).toThrow(/EFAULT/);
});
