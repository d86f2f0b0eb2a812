import fc from 'fast-check';
import type { MultifdItem } from '../../src/stream/multifd-item.js';
import { MultifdWriter } from '../../src/stream/multifd-writer.js';
import { MULTIFD_FLAGS } from '../../src/uapi/qemu-stream.js';
import { type Sample, sample } from './arbitrary-stream.js';
import { Recorder } from './recorded.js';

const name = fc.stringMatching(/^[!-~]{1,40}$/);
const offset = fc.nat(1 << 20).map((page) => page * 4096);
const data = fc.uint8Array({ maxLength: 80 });

const ram = fc
  .record({
    sync: fc.boolean(),
    packed: fc.boolean(),
    packet: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    block: name,
    normal: fc.array(offset, { maxLength: 3 }),
    zero: fc.array(offset, { maxLength: 3 }),
    room: fc.nat(5),
    data,
  })
  .map(({ sync, packed, normal, zero, room, data: bytes, packet, block }) => {
    const flags = (sync ? MULTIFD_FLAGS.SYNC : 0) | (packed ? MULTIFD_FLAGS.ZSTD : 0);
    const body = packed ? bytes : new Uint8Array(1024 * normal.length).fill(3);
    const allocated = normal.length + zero.length + room;
    const item: MultifdItem = {
      kind: 'multifd-ram',
      flags,
      packet,
      allocated,
      block,
      normal,
      zero,
      size: body.length,
    };
    return { item, body };
  });

const device = fc
  .record({ vfio: fc.boolean(), name, instance: fc.nat(), index: fc.nat(), config: fc.boolean(), data })
  .map(({ vfio, name: idstr, instance, index, config, data: body }) => {
    const item: MultifdItem = {
      kind: 'multifd-device',
      flags: MULTIFD_FLAGS.DEVICE_STATE,
      idstr: vfio ? `${idstr}/vfio` : `${idstr}.`,
      instance,
      ...(vfio ? { vfio: { index, config } } : {}),
      size: body.length,
    };
    return { item, body };
  });

/** Any multifd channel. */
export const anyChannel: fc.Arbitrary<Sample> = fc
  .record({
    uuid: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    channel: fc.nat(255),
    packets: fc.array(fc.oneof(ram, device), { maxLength: 6 }),
  })
  .map(({ uuid, channel, packets }) => {
    const out: Buffer[] = [];
    const writer = new MultifdWriter((bytes) => void out.push(Buffer.from(bytes)));
    const recorder = new Recorder();
    const head: MultifdItem = { kind: 'multifd-init', uuid, channel };
    for (const { item, body } of [{ item: head, body: new Uint8Array(0) }, ...packets]) {
      void writer.item(item);
      void writer.data(body);
      recorder.item(item, 0, 0);
      recorder.data(body);
    }
    void writer.flush();
    return sample(Buffer.concat(out), recorder.entries);
  });
