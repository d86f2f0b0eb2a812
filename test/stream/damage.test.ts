import { describe, expect, it } from 'vitest';
import { StreamError } from '../../src/stream/error.js';
import type { StreamItem } from '../../src/stream/item.js';
import { StreamReader } from '../../src/stream/reader.js';
import { CONFIGURATION_SUBSECTIONS } from '../../src/uapi/qemu-stream.js';
import { feed, Recorder, readAll, Scribe } from './recorded.js';

const PAGE = new Uint8Array(1024).fill(0x5a);

/** A small stream with a part of every kind. */
function small(): Scribe {
  const out = new Scribe();
  const { pageBits, capabilities } = CONFIGURATION_SUBSECTIONS;
  out.item(
    { kind: 'header', version: 3 },
    {
      kind: 'configuration',
      machine: 'pc-q35-11.1',
      subsections: [
        { name: pageBits, version: 1, targetPageBits: 10 },
        { name: capabilities, version: 1, capabilities: ['x-ignore-shared'] },
      ],
    },
    { kind: 'command', name: 'PING', value: 1 },
    { kind: 'section', type: 'START', id: 2, idstr: 'ram', instance: 0, version: 4 },
    { kind: 'mem-size', total: 4096 },
    { kind: 'block', name: 'pc.ram', usedLength: 4096, guestAddress: 0n },
    { kind: 'ram', flag: 'EOS' },
    { kind: 'section-end', id: 2, footer: true },
    { kind: 'section', type: 'PART', id: 2, idstr: 'ram', instance: 0, version: 4 },
  );
  out.page('pc.ram', 1024, 'normal', PAGE).page('pc.ram', 0, 'zero', new Uint8Array(1));
  out.page('pc.ram', 2048, 'xbzrle', new Uint8Array(3)).page('pc.ram', 3072, 'compressed', new Uint8Array(9));
  out.item(
    { kind: 'ram', flag: 'EOS' },
    { kind: 'section-end', id: 2, footer: true },
    { kind: 'section', type: 'START', id: 9, idstr: '0000:00:02.0/vfio', instance: 0, version: 1 },
    { kind: 'vfio', tag: 'DEV_SETUP_STATE' },
    { kind: 'vfio', tag: 'END_OF_STATE' },
    { kind: 'section-end', id: 9, footer: true },
    { kind: 'command', name: 'SWITCHOVER_START' },
    { kind: 'section', type: 'END', id: 9, idstr: '0000:00:02.0/vfio', instance: 0, version: 1 },
    { kind: 'vfio', tag: 'DEV_DATA_STATE', size: 20 },
  );
  out.data(new Uint8Array(20).fill(1));
  out.item(
    { kind: 'vfio', tag: 'END_OF_STATE' },
    { kind: 'section-end', id: 9, footer: true },
    { kind: 'section', type: 'FULL', id: 3, idstr: 'timer', instance: 0, version: 2 },
    { kind: 'body' },
  );
  out.data(new Uint8Array(24));
  out.item({ kind: 'section-end', id: 3, footer: true }, { kind: 'eof' });
  const text = '{"page_size":1024,"devices":[{"name":"timer","instance_id":0,"fields":[]}]}';
  const devices = [{ name: 'timer', instance: 0, size: 0, fields: 0, subsections: [] }];
  return out.item({ kind: 'description', text, description: { pageSize: 1024, devices } });
}

/** What a damaged stream gives. */
function damaged(
  bytes: Uint8Array,
  cuts: readonly number[] = [],
): { error: StreamError; recorder: Recorder } {
  const recorder = new Recorder();
  try {
    feed(new StreamReader(recorder), bytes, cuts);
  } catch (error) {
    expect(error).toBeInstanceOf(StreamError);
    return { error: error as StreamError, recorder };
  }
  throw new Error('the stream is not damaged');
}

/** Begins a stream, appends the bytes, and tells what the reader says. */
function following(items: StreamItem[], hex: string): string {
  const bytes = Buffer.concat([
    new Scribe().item({ kind: 'header', version: 3 }, ...items).bytes(),
    Buffer.from(hex, 'hex'),
  ]);
  const { error } = damaged(bytes);
  return `${error.offset - (bytes.length - hex.length / 2)}: ${error.message}`;
}

const RAM: StreamItem = { kind: 'section', type: 'START', id: 1, idstr: 'ram', instance: 0, version: 4 };
const BLOCKS: StreamItem[] = [
  RAM,
  { kind: 'mem-size', total: 0x4000 },
  { kind: 'block', name: 'a', usedLength: 0x4000 },
];
const VFIO: StreamItem = { kind: 'section', type: 'START', id: 1, idstr: 'x/vfio', instance: 0, version: 1 };

describe('damage', () => {
  it('is told with its place and what was expected', () => {
    const said = {
      type: following([], '99'),
      subsection: following([], '05'),
      configurationTwice: following(
        [{ kind: 'configuration', machine: 'pc', subsections: [] }],
        '0700000000',
      ),
      machine: following([], '07ffffffff'),
      subsectionName: following(
        [{ kind: 'configuration', machine: 'pc', subsections: [] }],
        '05017800000001',
      ),
      command: following([], '0800ff0000'),
      commandLength: following([], '0800020003000000'),
      discard: following([], '08000600030002'.padEnd(20, '0')),
      noIdstr: following([], '010000000100'),
      part: following([], '0200000001'),
      footer: following([RAM, { kind: 'ram', flag: 'EOS' }], '7e00000002'),
      ramFlags: following([RAM], '0000000000000001'),
      twoFlags: following([RAM], '000000000000000a'),
      block: following([RAM], '00000000000000080162'),
      continued: following([RAM], '0000000000000022'),
      address: following(BLOCKS, '00000000000040020161'),
      tooLong: following([RAM, { kind: 'mem-size', total: 0x1000 }], '01610000000000002000'),
      huge: following([RAM, { kind: 'mem-size', total: 0x1000 }], '0161ffffffffffffffff'),
      xbzrle: following(BLOCKS, `${'0000000000000040'}016101ffff`),
      tag: following([VFIO], '00000000ef100001'),
      setup: following([VFIO], 'ffffffffef100003ffffffffef100002'),
      data: following([VFIO], 'ffffffffef100004ffffffffffffffff'),
      package: following([], '08000700040000000101'.concat('00000001')),
      nested: following([], '0800070004000000090800070004'.concat('00000000ff')),
      packageEof: following([], '080007000400000001'.concat('00')),
      json: following([{ kind: 'eof' }], `0600000002${Buffer.from('[]').toString('hex')}`),
      notJson: following([{ kind: 'eof' }], `0600000002${Buffer.from('{"').toString('hex')}`),
      jsonLength: following([{ kind: 'eof' }], '06ffffffff'),
    };
    expect(said).toMatchInlineSnapshot(`
      {
        "address": "0: expected an address in RAM block "a" below 0x4000, got 0x4000 (in the START section 1 "ram" at 8)",
        "block": "8: expected the name of a RAM block, got "b" (in the START section 1 "ram" at 8)",
        "command": "1: expected a command from 0x01 to 0x0b, got 0xff",
        "commandLength": "3: expected a payload of 4 bytes for PING, got 3",
        "configurationTwice": "0: expected a section (0x01 to 0x04), a command (0x08) or the end of the stream (0x00), got 0x07",
        "continued": "0: expected a RAM record with a block before one without, got none (in the START section 1 "ram" at 8)",
        "data": "8: expected a size of device data below 2^53, got about 18446744073709552000 (in the START section 1 "x/vfio" at 8)",
        "discard": "7: expected 2 more bytes in POSTCOPY_RAM_DISCARD, got the end of its payload after 1",
        "footer": "0: expected the footer of section 1, got that of 2 (in the START section 1 "ram" at 8)",
        "huge": "2: expected the length of RAM block "a" below 2^53, got about 18446744073709552000 (in the START section 1 "ram" at 8)",
        "json": "5: expected a vmdescription in JSON, got the vmdescription is no object",
        "jsonLength": "1: expected a vmdescription of at most 8388608 bytes, got 4294967295",
        "machine": "1: expected a machine type of at most 1024 bytes, got 4294967295",
        "nested": "9: expected no package inside a package, got one",
        "noIdstr": "5: expected a section's idstr of 1 to 255 bytes, got length 0 (in a START section at 8)",
        "notJson": "5: expected a vmdescription in JSON, got the text is no JSON",
        "package": "10: expected 4 bytes of a section id, got the end of the package after 0 (in a START section at 17)",
        "packageEof": "9: expected a section (0x01 to 0x04), a command (0x08) or the end of the stream (0x00), got 0x00",
        "part": "1: expected the id of a section that has begun, got 1 (in a PART section at 8)",
        "ramFlags": "0: expected a RAM record, got 0x0000000000000001 (in the START section 1 "ram" at 8)",
        "setup": "8: expected END_OF_STATE, got DEV_CONFIG_STATE (in the START section 1 "x/vfio" at 8)",
        "subsection": "0: expected a section (0x01 to 0x04), a command (0x08) or the end of the stream (0x00), got 0x05",
        "subsectionName": "1: expected a subsection of the configuration of known length, got "x"",
        "tag": "0: expected a tag of a VFIO section, got 0x00000000ef100001 (in the START section 1 "x/vfio" at 8)",
        "tooLong": "2: expected a length of RAM block "a" within the 4096 bytes left, got 8192 (in the START section 1 "ram" at 8)",
        "twoFlags": "0: expected a RAM record, got 0x000000000000000a (in the START section 1 "ram" at 8)",
        "type": "0: expected a section (0x01 to 0x04), a command (0x08) or the end of the stream (0x00), got 0x99",
        "xbzrle": "11: expected an encoded page of at most 4096 bytes, got 65535 (in the START section 1 "ram" at 8)",
      }
    `);
  });

  it('of the header', () => {
    expect(damaged(Buffer.from('QEVX\0\0\0\x03')).error).toMatchObject({ offset: 0 });
    expect(damaged(Buffer.from('QEVM\0\0\0\x02')).error).toMatchObject({ offset: 4, got: '2' });
    expect(damaged(Buffer.alloc(0)).error).toMatchObject({ offset: 0, got: undefined });
  });

  it('ends the reading for good', () => {
    const reader = new StreamReader(new Recorder());
    const first = Buffer.from('QEVX\0\0\0\x03');
    expect(() => reader.write(first)).toThrow(StreamError);
    expect(() => reader.write(small().bytes())).toThrow(StreamError);
    expect(() => reader.end()).toThrow(StreamError);
  });

  it('of a sink comes through, and is no damage of the stream', () => {
    const reader = new StreamReader({
      item: () => {
        throw new TypeError('mine');
      },
    });
    expect(() => reader.write(small().bytes())).toThrow(TypeError);
  });
});

describe('a stream that is cut', () => {
  const whole = small();
  const bytes = whole.bytes();

  it('at any byte gives all before it, and the place of the cut', () => {
    const eof = bytes.length - 5 - 75;
    expect(bytes[eof - 1]).toBe(0);
    for (let length = 0; length < bytes.length; length++) {
      if (length === eof) continue; // The vmdescription may be missing.
      const { error, recorder } = damaged(bytes.subarray(0, length), [length >> 1]);
      expect(error.offset).toBe(length);
      expect(error.got).toBeUndefined();
      const last = recorder.entries.length - 1;
      const { entries } = whole;
      expect(recorder.entries.slice(0, Math.max(0, last))).toEqual(entries.slice(0, Math.max(0, last)));
      const begun = recorder.entries[last];
      if (begun?.kind === 'data')
        expect(entries[last]).toMatchObject({ kind: 'data', hex: expect.stringMatching(`^${begun.hex}`) });
      else if (begun !== undefined) expect(begun).toEqual(entries[last]);
    }
    expect(readAll(bytes)).toEqual(whole.entries);
    expect(readAll(bytes.subarray(0, eof)).at(-1)).toEqual({ kind: 'eof' });
  });

  it('never takes much memory for what it only announces', () => {
    const announced = Buffer.concat([
      new Scribe().item({ kind: 'header', version: 3 }, VFIO).bytes(),
      Buffer.from('ffffffffef100004001fffffffffffff', 'hex'),
      Buffer.alloc(1000),
    ]);
    const reader = new StreamReader(new Recorder());
    reader.write(announced);
    expect(reader.held).toBeLessThan(2000);
    expect(() => reader.end()).toThrow(/9007199254739991 more bytes of device data/);
  });
});

describe('places', () => {
  it('follow each other without a gap', () => {
    const recorder = new Recorder();
    const bytes = small().bytes();
    feed(new StreamReader(recorder), bytes);
    let end = 0;
    const items = recorder.entries.filter(({ kind }) => kind !== 'page' && kind !== 'data');
    for (const [index, [offset, size]] of recorder.places.entries()) {
      expect(offset).toBeGreaterThanOrEqual(end);
      // Pages and data stand between items.
      if (
        items[index]!.kind !== 'ram' &&
        items[index - 1]?.kind !== 'body' &&
        items[index - 1]?.kind !== 'vfio'
      ) {
        expect(offset).toBe(end);
      }
      end = offset + size;
    }
    expect(end).toBe(bytes.length);
  });

  it('count from the origin', () => {
    const recorder = new Recorder();
    const reader = new StreamReader(recorder, { origin: 4096 });
    feed(reader, small().bytes(), [5, 100]);
    expect(recorder.places.slice(0, 2)).toEqual([
      [4096, 8],
      [4104, expect.any(Number)],
    ]);
    expect(reader.offset).toBe(4096 + small().bytes().length);
  });
});
