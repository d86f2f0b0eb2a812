import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StreamError } from '../../src/stream/error.js';
import { MultifdReader } from '../../src/stream/multifd-reader.js';
import { MultifdSummary } from '../../src/stream/multifd-summary.js';
import { MultifdWriter } from '../../src/stream/multifd-writer.js';
import {
  MULTIFD_FLAGS,
  MultifdDevicePacket,
  MultifdInit,
  MultifdRamPacket,
  VfioDevicePacket,
} from '../../src/uapi/qemu-stream.js';
import { anyChannel } from './arbitrary-channel.js';
import { feed, Recorder } from './recorded.js';

const ZERO = (size: number) => new Uint8Array(size);

/** A channel with a RAM packet, a SYNC and two packets of a VFIO device. */
function channel(): Buffer {
  const out: Buffer[] = [];
  const writer = new MultifdWriter((bytes) => void out.push(Buffer.from(bytes)));
  void writer.item({ kind: 'multifd-init', uuid: ZERO(16).fill(9), channel: 3 });
  void writer.item({
    kind: 'multifd-ram',
    flags: 0,
    packet: 1n,
    allocated: 128,
    block: 'pc.ram',
    normal: [0, 8192],
    zero: [4096],
    size: 8192,
  });
  void writer.data(ZERO(8192));
  const sync = {
    flags: MULTIFD_FLAGS.SYNC,
    packet: 2n,
    allocated: 128,
    block: '',
    normal: [],
    zero: [],
    size: 0,
  };
  void writer.item({ kind: 'multifd-ram', ...sync });
  const device = {
    kind: 'multifd-device',
    flags: MULTIFD_FLAGS.DEVICE_STATE,
    idstr: '0000:00:02.0/vfio',
  } as const;
  void writer.item({ ...device, instance: 0, vfio: { index: 0, config: false }, size: 36 });
  void writer.data(ZERO(36));
  void writer.item({ ...device, instance: 0, vfio: { index: 1, config: true }, size: 20 });
  void writer.data(ZERO(20));
  void writer.flush();
  return Buffer.concat(out);
}

function failure(bytes: Buffer): StreamError {
  try {
    feed(new MultifdReader(new Recorder()), bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(StreamError);
    return error as StreamError;
  }
  throw new Error('the channel is not damaged');
}

/** Changes a u32 of the channel. */
function patched(at: number, value: number): Buffer {
  const bytes = channel();
  bytes.writeUInt32BE(value >>> 0, at);
  return bytes;
}

const RAM = MultifdInit.size;
const SYNC = RAM + MultifdRamPacket.size + 8 * 128 + 8192;
const DEVICE = SYNC + MultifdRamPacket.size + 8 * 128;
const VFIO = DEVICE + MultifdDevicePacket.size;

describe('layouts', () => {
  it('have the sizes of the packed C structs', () => {
    const sizes = [MultifdInit, MultifdRamPacket, MultifdDevicePacket, VfioDevicePacket].map(
      ({ size }) => size,
    );
    expect(sizes).toEqual([64, 320, 276, 12]);
    expect(MultifdRamPacket.offsets).toMatchObject({ packet_num: 24, zero_pages: 32, ramblock: 64 });
  });
});

describe('a multifd channel', () => {
  it('is read back as it was written, however its bytes are cut', () => {
    fc.assert(
      fc.property(anyChannel, fc.array(fc.nat(), { maxLength: 9 }), ({ bytes, entries }, cuts) => {
        const recorder = new Recorder();
        feed(new MultifdReader(recorder), bytes, cuts);
        expect(recorder.entries).toEqual(entries);
      }),
    );
  });

  it('is summed up', () => {
    const summary = new MultifdSummary();
    const reader = new MultifdReader(summary);
    feed(reader, channel());
    expect(summary.report(reader.offset)).toMatchObject({
      complete: true,
      multifd: { channel: 3, uuid: '09'.repeat(16), packets: 4, syncs: 1 },
      ram: { pages: 2, zeroPages: 1, bytes: 8192 },
      vfio: [{ idstr: '0000:00:02.0/vfio', records: 2, dataBytes: 36, configBytes: 20, pci: null }],
    });
  });

  it('ends between two packets and nowhere else', () => {
    const bytes = channel();
    const whole = new Set([64, SYNC, DEVICE, VFIO + 12 + 36, bytes.length]);
    for (
      let length = 0;
      length <= bytes.length;
      length += length > RAM + 2000 && length < SYNC - 9 ? 97 : 1
    ) {
      const part = bytes.subarray(0, length);
      if (whole.has(length)) feed(new MultifdReader(new Recorder()), part);
      else expect(failure(part)).toMatchObject({ offset: length, got: undefined });
    }
  });

  it.each<[string, number, number, number, string]>([
    ['the magic', 0, 1, 0, 'the magic of multifd'],
    ['the version', 4, 2, 4, 'version 1'],
    ["a packet's magic", RAM, 1, RAM, 'the magic of multifd'],
    ['flags', RAM + 8, 0x100, RAM + 8, 'known flags'],
    ['pages allocated', RAM + 12, 0xffff_ffff, RAM + 12, 'at most 512 pages'],
    ['more pages than allocated', RAM + 16, 128, RAM + 16, 'at most 128 pages'],
    ['the size of the pages', RAM + 20, 8193, RAM + 20, 'the bytes of 2 pages'],
    ['a device without a name', DEVICE + 12, 0, DEVICE + 12, "a device's idstr"],
    ['a packet too short for VFIO', DEVICE + 272, 11, DEVICE + 272, 'at least 12 bytes'],
    ["the version of VFIO's packet", VFIO, 1, VFIO, "version 0 of VFIO's packet"],
    ['an index that no packet has', VFIO + 4, 0xffff_ffff, VFIO + 4, 'an index below'],
    ["flags of VFIO's packet", VFIO + 8, 2, VFIO + 8, "known flags of VFIO's packet"],
  ])('is damaged by %s', (_what, at, value, offset, expected) => {
    const error = failure(patched(at, value));
    expect(error.offset).toBe(offset);
    expect(error.expected).toContain(expected);
  });
});
