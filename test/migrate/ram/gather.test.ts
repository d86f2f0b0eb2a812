import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PageBitmap } from '../../../src/migrate/dirty/index.js';
import { GuestRam, gatherPages, PAGE_RECORD, PAGE_SIZE, PageScan } from '../../../src/migrate/ram/index.js';
import { Output } from '../../../src/stream/output.js';
import { RamWriter } from '../../../src/stream/ram-writer.js';

const PAGES = 200;

/** RAM whose pages are as the list says: 0 never written, 1 written with zeros, else content. */
function ramOf(kinds: readonly number[]): GuestRam {
  const ram = new GuestRam(PAGES * PAGE_SIZE, { chunkSize: 13 * PAGE_SIZE });
  for (const [page, kind] of kinds.entries()) {
    if (kind === 0) continue;
    const content = new Uint8Array(PAGE_SIZE);
    if (kind > 1) content[(page * 997 * kind) % PAGE_SIZE] = kind;
    ram.write(page * PAGE_SIZE, content);
  }
  return ram;
}

/** What the stream's writer makes of the same pages. */
async function byWriter(ram: GuestRam, pages: readonly number[], block: string): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const out = new Output((bytes) => {
    pieces.push(Buffer.from(bytes));
  });
  const writer = new RamWriter(out, PAGE_SIZE);
  for (const page of pages) {
    if (ram.isZeroPage(page)) writer.page(block, page * PAGE_SIZE, 'zero', Uint8Array.of(0));
    else writer.page(block, page * PAGE_SIZE, 'normal', ram.page(page));
  }
  await out.flush();
  return Buffer.concat(pieces);
}

const kinds = fc.array(fc.constantFrom(0, 0, 1, 2, 3), { minLength: PAGES, maxLength: PAGES });
const dirtyPages = fc.array(fc.tuple(fc.nat(PAGES - 1), fc.integer({ min: 1, max: 50 })), { maxLength: 8 });

describe('gatherPages', () => {
  it('makes the records that the stream writer makes, and clears the bits', async () => {
    await fc.assert(
      fc.asyncProperty(
        kinds,
        dirtyPages,
        fc.integer({ min: PAGE_RECORD + 7, max: 20 * PAGE_RECORD }),
        fc.nat(7),
        async (content, ranges, size, odd) => {
          const ram = ramOf(content);
          const dirty = new PageBitmap(PAGES);
          for (const [first, count] of ranges) dirty.setRange(first, Math.min(count, PAGES - first));
          const pages: number[] = [];
          dirty.forEachSet((page) => {
            pages.push(page);
          });
          const seen = new Set<number>();
          const scan = new PageScan(dirty, ram, {
            beforeRead: (first, count) => {
              for (let page = first; page < first + count; page++) seen.add(page);
            },
          });
          const buffer = new Uint8Array(size + odd).subarray(odd);
          const parts: Buffer[] = [];
          let sum = 0;
          while (!scan.done) {
            const block = parts.length === 0 ? 'pc.ram' : undefined;
            const { bytes, normal, zero } = gatherPages(buffer, scan, { block });
            parts.push(Buffer.from(buffer.subarray(0, bytes)));
            sum += normal + zero;
            expect(normal + zero).toBeGreaterThan(0);
          }
          expect(sum).toBe(pages.length);
          expect(dirty.count()).toBe(0);
          expect([...seen].sort((a, b) => a - b)).toEqual(pages);
          expect(Buffer.concat(parts).equals(await byWriter(ram, pages, 'pc.ram'))).toBe(true);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('writes addresses beyond 4 GiB', () => {
    const ram = new GuestRam(5 * 2 ** 30);
    const dirty = new PageBitmap(ram.pages);
    dirty.set(ram.pages - 1);
    ram.write(ram.size - 1, Uint8Array.of(1));
    const buffer = Buffer.alloc(2 * PAGE_RECORD);
    const gathered = gatherPages(buffer, new PageScan(dirty, ram));
    expect(gathered).toEqual({ bytes: PAGE_RECORD, normal: 1, zero: 0 });
    expect(buffer.readBigUInt64BE()).toBe(BigInt(ram.size - PAGE_SIZE) + 0x28n);
  });

  it('stops at a limit of pages, and begins where it is told', () => {
    const ram = ramOf([2, 2, 0, 0, 2]);
    const dirty = new PageBitmap(PAGES);
    dirty.setRange(0, 5);
    const scan = new PageScan(dirty, ram, { from: 1 });
    const buffer = new Uint8Array(1 << 20);
    expect(gatherPages(buffer, scan, { limit: 2 })).toMatchObject({ normal: 1, zero: 1 });
    expect(scan.position).toBe(3);
    expect(gatherPages(buffer, scan, { limit: 1, block: 'b' })).toEqual({ bytes: 11, normal: 0, zero: 1 });
    expect(gatherPages(buffer, scan)).toMatchObject({ normal: 1, zero: 0 });
    expect(gatherPages(buffer, scan)).toEqual({ bytes: 0, normal: 0, zero: 0 });
    expect(dirty.nextSet(0)).toBe(0);
  });

  it('does not send what somebody else has sent meanwhile', () => {
    const ram = ramOf(Array.from({ length: PAGES }, () => 2));
    const dirty = new PageBitmap(PAGES);
    dirty.setAll();
    const scan = new PageScan(dirty, ram);
    const buffer = new Uint8Array(3 * PAGE_RECORD);
    gatherPages(buffer, scan);
    dirty.clearRange(3, 2);
    gatherPages(buffer, scan);
    expect(new DataView(buffer.buffer).getUint32(4)).toBe(5 * PAGE_SIZE + 0x28);
  });

  it('refuses a buffer that a page does not fit in', () => {
    const scan = new PageScan(new PageBitmap(PAGES), ramOf([]));
    expect(() => gatherPages(new Uint8Array(PAGE_RECORD - 1), scan)).toThrow(
      'of 4104 bytes or more, got 4103',
    );
    expect(() => gatherPages(new Uint8Array(PAGE_RECORD), scan, { block: 'b' })).toThrow(RangeError);
    expect(() => gatherPages(new Uint8Array(9000), scan, { block: '' })).toThrow('1 to 255 bytes, got 0');
    expect(() => new PageScan(new PageBitmap(3), ramOf([]))).toThrow('expected a bitmap of 200 pages');
  });
});
