import { describe, expect, it } from 'vitest';
import { StreamWriter } from '../../src/stream/writer.js';

const HEADER = { kind: 'header', version: 3 } as const;
const PAGE = (fill: number) => new Uint8Array(4096).fill(fill);
const RAM = { kind: 'section', type: 'PART', id: 1, idstr: 'ram', instance: 0, version: 4 } as const;

describe('a writer whose sink is slow', () => {
  it('asks to be waited for, and keeps the order and the bytes', async () => {
    const out: Buffer[] = [];
    let working = 0;
    const writer = new StreamWriter(async (bytes) => {
      expect(++working).toBe(1);
      const before = Buffer.from(bytes);
      await new Promise((resolve) => setTimeout(resolve, 1));
      // Nobody may touch the bytes while the sink works on them.
      expect(before.equals(bytes)).toBe(true);
      out.push(before);
      working--;
    });
    const fast: Buffer[] = [];
    const same = new StreamWriter((bytes) => void fast.push(Buffer.from(bytes)));
    let waited = 0;
    for (const each of [writer, same]) {
      for (const promise of [each.item(HEADER), each.item(RAM)]) await promise;
      for (let index = 0; index < 1000; index++) {
        const pressure = each.page('pc.ram', index * 4096, 'normal', PAGE(index));
        if (pressure === undefined) continue;
        waited++;
        // Now and then nobody waits.
        if (index % 3 > 0) await pressure;
      }
      await each.data(new Uint8Array(0));
      await each.flush();
    }
    expect(waited).toBeGreaterThan(10);
    expect(Buffer.concat(out).equals(Buffer.concat(fast))).toBe(true);
    expect(writer.offset).toBe(same.offset);
  });

  it('hands long data on uncopied', async () => {
    const seen: Uint8Array[] = [];
    const writer = new StreamWriter((bytes) => void seen.push(bytes));
    const long = new Uint8Array(1 << 20);
    await writer.item({ kind: 'vfio', tag: 'DEV_DATA_STATE', size: long.length });
    await writer.data(long);
    expect(seen.at(-1)).toBe(long);
  });

  it('tells the failure of the sink, then and later', async () => {
    const writer = new StreamWriter(() => Promise.reject(new Error('gone')));
    await writer.item(HEADER);
    await expect(writer.flush()).rejects.toThrow('gone');
    expect(() => writer.item(HEADER)).toThrow('gone');
  });
});

describe('a writer refuses', () => {
  const writer = () => new StreamWriter(() => {});

  it('what does not add up', () => {
    const short = writer();
    void short.item({ kind: 'vfio', tag: 'DEV_DATA_STATE', size: 4 });
    void short.data(new Uint8Array(3));
    expect(() => short.data(new Uint8Array(2))).toThrow(/2 bytes of data where 1 are due/);
    expect(() => short.item({ kind: 'vfio', tag: 'END_OF_STATE' })).toThrow(/1 bytes of data are missing/);
    expect(() => writer().data(new Uint8Array(1))).toThrow(RangeError);
    expect(() => writer().page('a', 0, 'normal', new Uint8Array(3))).toThrow(/4096 bytes/);
    expect(() => writer().page('a', 12, 'zero', new Uint8Array(1))).toThrow(/multiple of the page size/);
    expect(() => writer().page('a', 0, 'mapped', PAGE(0))).toThrow(/not the mapped block/);
    expect(() => writer().item({ ...RAM, type: 'START', idstr: '' })).toThrow(/1 to 255/);
    const packed = writer();
    void packed.item({ kind: 'command', name: 'PACKAGED', size: 4 });
    expect(() => packed.item({ kind: 'package-end' })).toThrow(/the package ends at 9/);
  });
});
