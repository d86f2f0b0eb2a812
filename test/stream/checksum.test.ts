import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type ChannelDigest,
  Checksum,
  checksumOf,
  DIGEST_SECTION,
  digestParser,
  encodeDigest,
  isDigest,
  MultifdReader,
  MultifdWriter,
  StreamReader,
  StreamWriter,
} from '../../src/stream/index.js';
import { anyChannel } from './arbitrary-channel.js';
import { anyMappedRam, anyStream } from './arbitrary-stream.js';
import { feed, Recorder } from './recorded.js';

const cuts = fc.array(fc.nat(), { maxLength: 12 });
const CHECKSUM = { checksum: true };

describe('the checksum of a reader', () => {
  it('is that of the bytes before each item, however they are cut', () => {
    fc.assert(
      fc.property(fc.oneof(anyStream, anyMappedRam), cuts, fc.boolean(), ({ bytes }, places, skipPages) => {
        let items = 0;
        const reader: StreamReader = new StreamReader(
          {
            item: () => {
              // The whole up to here is hashed anew, so only now and then.
              if (items++ % 7 > 0) return;
              expect(reader.checksum).toBe(checksumOf(bytes.subarray(0, reader.offset)));
            },
            page: () => {},
            skipPages,
          },
          CHECKSUM,
        );
        feed(reader, bytes, places);
        expect(reader.checksum).toBe(checksumOf(bytes));
      }),
      { numRuns: 100 },
    );
  });

  it('is the same for one byte at a time', () => {
    for (const { bytes } of fc.sample(anyStream, { numRuns: 5, seed: 4 })) {
      const reader = new StreamReader(new Recorder(), CHECKSUM);
      feed(reader, bytes, Array.from(bytes.keys()));
      expect(reader.checksum).toBe(checksumOf(bytes));
    }
  });

  it('does not change what is read', () => {
    fc.assert(
      fc.property(anyStream, cuts, ({ bytes, entries }, places) => {
        const recorder = new Recorder();
        feed(new StreamReader(recorder, CHECKSUM), bytes, places);
        expect(recorder.entries).toEqual(entries);
      }),
      { numRuns: 50 },
    );
  });

  it('is there only when it was asked for, and then nothing can be left out', () => {
    expect(() => new StreamReader(new Recorder()).checksum).toThrow('without the option checksum');
    const { bytes } = fc.sample(
      anyMappedRam.filter((it) => it.bytes.length > 9000),
      { numRuns: 1, seed: 2 },
    )[0]!;
    const most = (options: object) => {
      const reader = new StreamReader({ item: () => {}, skipPages: true }, options);
      let skippable = 0;
      for (let at = 0; at < bytes.length; at += 64) {
        reader.write(bytes.subarray(at, at + 64));
        skippable = Math.max(skippable, reader.skippable);
      }
      return { skippable, reader };
    };
    expect(most({}).skippable).toBeGreaterThan(0);
    const { skippable, reader } = most(CHECKSUM);
    expect(skippable).toBe(0);
    expect(reader.checksum).toBe(checksumOf(bytes));
    expect(() => reader.skip(1)).toThrow('not skippable');
  });

  it('of a multifd channel is that of its bytes', () => {
    fc.assert(
      fc.property(anyChannel, cuts, ({ bytes }, places) => {
        const reader: MultifdReader = new MultifdReader(
          { item: () => expect(reader.checksum).toBe(checksumOf(bytes.subarray(0, reader.offset))) },
          0,
          CHECKSUM,
        );
        feed(reader, bytes, places);
        expect(reader.checksum).toBe(checksumOf(bytes));
      }),
      { numRuns: 50 },
    );
    expect(() => new MultifdReader(new Recorder()).checksum).toThrow(TypeError);
  });
});

describe('the checksum of a writer', () => {
  it('is that of all bytes put, whether or not the sink has them', () => {
    fc.assert(
      fc.property(anyStream, fc.nat(20), ({ bytes }, often) => {
        const writer = new StreamWriter(() => {}, CHECKSUM);
        let count = 0;
        const look = () => {
          if (count++ % (often + 1) === 0)
            expect(writer.checksumSoFar()).toBe(checksumOf(bytes.subarray(0, writer.offset)));
        };
        const reader = new StreamReader({
          item: (item) => {
            void writer.item(item);
            look();
          },
          page: (block, address, encoding, data) => void writer.page(block, address, encoding, data),
          data: (piece) => {
            void writer.data(piece);
            look();
          },
        });
        feed(reader, bytes);
        expect(writer.checksumSoFar()).toBe(checksumOf(bytes.subarray(0, writer.offset)));
        void writer.flush();
        expect(writer.checksumSoFar()).toBe(checksumOf(bytes.subarray(0, writer.offset)));
      }),
      { numRuns: 60 },
    );
  });

  it('holds over many blocks, long data that are not gathered, and a slow sink', async () => {
    const sum = new Checksum();
    const writer = new StreamWriter(async (bytes) => {
      await new Promise((resolve) => setImmediate(resolve));
      sum.update(bytes);
    }, CHECKSUM);
    for (let round = 0; round < 12; round++) {
      const length = [100, 1 << 16, 60_000, 300_000][round % 4]!;
      void writer.item({ kind: 'vfio', tag: 'DEV_DATA_STATE', size: length });
      await writer.data(new Uint8Array(length).fill(round));
      if (round % 5 === 0) writer.checksumSoFar();
    }
    await writer.flush();
    expect(writer.checksumSoFar()).toBe(sum.value);
    expect(writer.offset).toBeGreaterThan(1 << 20);
  });

  it('of a multifd channel is that of its bytes', () => {
    fc.assert(
      fc.property(anyChannel, ({ bytes }) => {
        const writer = new MultifdWriter(() => {}, CHECKSUM);
        feed(new MultifdReader(writer), bytes);
        expect(writer.checksumSoFar()).toBe(checksumOf(bytes));
      }),
      { numRuns: 50 },
    );
    expect(() => new MultifdWriter(() => {}).checksumSoFar()).toThrow('without the option checksum');
  });
});

describe('the digest', () => {
  const CHANNELS: ChannelDigest[] = [
    { channel: 0, bytes: 2 ** 40, crc: 0xffff_ffff },
    { channel: 255, bytes: 0, crc: 0 },
  ];
  const SECTION = { kind: 'section', type: 'FULL', id: 3, instance: 0, ...DIGEST_SECTION } as const;
  /** Offset of the body in the stream. */
  const BODY = 8 + 1 + 4 + 1 + DIGEST_SECTION.idstr.length + 8;

  function digested(channels = CHANNELS, version: number = DIGEST_SECTION.version): Buffer {
    const out: Buffer[] = [];
    const writer = new StreamWriter((bytes) => void out.push(Buffer.from(bytes)), CHECKSUM);
    void writer.item({ kind: 'header', version: 3 });
    void writer.item({ ...SECTION, version });
    void writer.item({ kind: 'body' });
    void writer.data(encodeDigest(writer.checksumSoFar(), channels));
    void writer.item({ kind: 'section-end', id: 3, footer: true });
    void writer.item({ kind: 'eof' });
    void writer.flush();
    return Buffer.concat(out);
  }

  function read(bytes: Uint8Array, places: number[] = []): ChannelDigest[] {
    const got: ChannelDigest[][] = [];
    const bodyParser: NonNullable<ConstructorParameters<typeof StreamReader>[1]>['bodyParser'] = (section) =>
      isDigest(section) ? digestParser(section, (channels) => got.push(channels)) : undefined;
    feed(new StreamReader(new Recorder(), { ...CHECKSUM, bodyParser }), bytes, places);
    expect(got).toHaveLength(1);
    return got[0]!;
  }

  it('is read as it was written, however it is cut', () => {
    const bytes = digested();
    expect(bytes.length).toBe(BODY + 8 + 2 * 13 + 5 + 1);
    expect(read(bytes)).toEqual(CHANNELS);
    expect(read(bytes, Array.from(bytes.keys()))).toEqual(CHANNELS);
    expect(read(digested([]))).toEqual([]);
  });

  it('finds any byte before it that has changed', () => {
    for (const bit of [0, 7]) {
      // The section's instance: nothing else looks at it.
      const bytes = digested();
      const crc = bytes.readUInt32BE(BODY);
      bytes[BODY - 8]! ^= 1 << bit;
      const got = checksumOf(bytes.subarray(0, BODY)).toString(16).padStart(8, '0');
      const expected = `the checksum 0x${crc.toString(16).padStart(8, '0')} of the ${BODY} bytes before the digest`;
      expect(() => read(bytes)).toThrow(
        `expected ${expected}, as the source has it, got 0x${got} (in the FULL`,
      );
      expect(() => read(bytes)).toThrow(expect.objectContaining({ offset: BODY }));
    }
  });

  it('that is damaged is refused', () => {
    const change = (at: number, value: number) => {
      const bytes = digested();
      bytes[BODY + at] = value;
      return () => read(bytes);
    };
    expect(change(6, 2)).toThrow('expected at most 256 channels, got 514');
    expect(change(8, 255)).toThrow('expected another channel, got 255 again');
    expect(change(9, 255)).toThrow('the bytes of a channel below 2^53');
    expect(() => read(digested(CHANNELS, 2))).toThrow('expected version 1 of "stopcopy/digest", got 2');
    expect(() => read(digested().subarray(0, BODY + 20))).toThrow('the stream ends');
  });

  it('cannot be read without the checksum, nor be made of what does not fit', () => {
    const section = SECTION;
    const reader = new StreamReader(new Recorder(), { bodyParser: () => digestParser(section, () => {}) });
    expect(() => reader.write(digested())).toThrow('without the option checksum');
    expect(() => encodeDigest(0, [{ channel: 256, bytes: 0, crc: 0 }])).toThrow('expected 0 to 255, got 256');
    expect(() => encodeDigest(0, new Array(257).fill(CHANNELS[1]))).toThrow(RangeError);
  });
});
