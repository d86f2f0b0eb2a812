import {
  isTargetPageSize,
  MULTIFD_COMPRESSION_MASK,
  MULTIFD_FLAGS,
  MULTIFD_MAGIC,
  MULTIFD_PACKET_BYTES,
  MULTIFD_VERSION,
  MultifdDevicePacket,
  MultifdInit,
  MultifdPacketHeader,
  MultifdRamPacket,
  TARGET_PAGE_SIZES,
  VFIO_DEVICE_PACKET_BAD_INDEX,
  VFIO_DEVICE_PACKET_CONFIG,
  VFIO_DEVICE_PACKET_VERSION,
  VfioDevicePacket,
} from '../uapi/qemu-stream.js';
import type { Fields, Struct, StructValue } from '../uapi/struct.js';
import { Cursor, latin1, type Steps, u32At } from './cursor.js';
import { hex } from './error.js';
import type { MultifdSink, VfioPacket } from './multifd-item.js';
import { StepsRunner } from './steps-runner.js';
import { isVfio } from './vfio-reader.js';

const KNOWN_FLAGS = Object.values(MULTIFD_FLAGS).reduce((all, flag) => all | flag, 0);
/** Most pages of one packet: QEMU's number for its smallest page. */
const MAX_PAGES = MULTIFD_PACKET_BYTES / TARGET_PAGE_SIZES.least;

/**
 * Reads one multifd channel, block by block. A channel has no end of its own: it is complete where the
 * input ends between two packets.
 */
export class MultifdReader {
  readonly #cursor: Cursor;
  readonly #sink: MultifdSink;
  readonly #runner: StepsRunner;

  /**
   * @param origin offset of the first byte in its file
   * @param options `checksum`: keep a checksum of all that was read
   */
  constructor(sink: MultifdSink, origin = 0, options: { checksum?: boolean } = {}) {
    this.#cursor = new Cursor(origin, options);
    this.#sink = sink;
    this.#runner = new StepsRunner(this.#cursor, this.#channel());
  }

  /** Offset of the next byte that has not been understood yet. */
  get offset(): number {
    return this.#cursor.offset;
  }

  /**
   * Checksum of all bytes before `offset`.
   * @throws TypeError without the option `checksum`
   */
  get checksum(): number {
    return this.#cursor.checksum;
  }

  /** Bytes of the input that are held between two blocks. */
  get held(): number {
    return this.#cursor.held;
  }

  /**
   * Takes the next block, of any size. It may be reused afterwards.
   * @throws StreamError where the channel is damaged; the sink has all that stands before
   */
  write(block: Uint8Array): void {
    this.#runner.write(block);
  }

  /**
   * The input has ended.
   * @throws StreamError when it ends inside a packet
   */
  end(): void {
    this.#runner.end();
  }

  *#channel(): Steps {
    const c = this.#cursor;
    yield* c.need(8, 'the head of a channel');
    const start = c.offset;
    checkMagic(c);
    const init = yield* this.#struct(MultifdInit, 'the head of a channel');
    this.#sink.item({ kind: 'multifd-init', uuid: init.uuid, channel: init.id }, start, MultifdInit.size);
    while (c.available > 0 || (yield* c.more())) yield* this.#packet();
  }

  *#packet(): Steps {
    const c = this.#cursor;
    const start = c.offset;
    c.where = `in a packet at ${start}`;
    yield* c.need(MultifdPacketHeader.size, 'the head of a packet');
    checkMagic(c);
    const flags = u32At(c.bytes, c.pos + MultifdPacketHeader.offsets.flags);
    if ((flags & ~KNOWN_FLAGS) !== 0) c.fail('known flags of a packet', hex(flags), start + 8);
    const device = (flags & MULTIFD_FLAGS.DEVICE_STATE) !== 0;
    const size = yield* device ? this.#deviceHead(start) : this.#ramHead(start);
    yield* c.take(size, 'a packet', (piece) => this.#sink.data?.(piece));
    c.where = '';
  }

  /** Reads up to the pages and tells the packet. Returns the bytes of data that follow. */
  *#ramHead(start: number): Steps<number> {
    const c = this.#cursor;
    const head = yield* this.#struct(MultifdRamPacket, 'the head of a packet');
    const { flags, packet_num, pages_alloc, normal_pages, zero_pages, next_packet_size: size } = head;
    const { pages_alloc: allocAt, normal_pages: normalAt } = MultifdRamPacket.offsets;
    if (pages_alloc > MAX_PAGES) c.fail(`at most ${MAX_PAGES} pages`, `${pages_alloc}`, start + allocAt);
    if (normal_pages + zero_pages > pages_alloc) {
      c.fail(`at most ${pages_alloc} pages, as allocated`, `${normal_pages + zero_pages}`, start + normalAt);
    }
    if ((flags & MULTIFD_COMPRESSION_MASK) === 0) checkSize(c, normal_pages, size, start);
    const offsets: number[] = [];
    for (let index = 0; index < pages_alloc; index++) {
      if (index < normal_pages + zero_pages) offsets.push(yield* c.size('the offset of a page'));
      else yield* c.take(8, 'the offset of a page');
    }
    this.#tell(start, {
      kind: 'multifd-ram',
      flags,
      packet: packet_num,
      allocated: pages_alloc,
      block: untilNul(head.ramblock),
      normal: offsets.slice(0, normal_pages),
      zero: offsets.slice(normal_pages),
      size,
    });
    return size;
  }

  *#deviceHead(start: number): Steps<number> {
    const c = this.#cursor;
    const head = yield* this.#struct(MultifdDevicePacket, 'the head of a device-state packet');
    const { flags, instance_id: instance, next_packet_size } = head;
    const idstr = untilNul(head.idstr);
    if (idstr === '') c.fail("a device's idstr", 'an empty one', start + MultifdDevicePacket.offsets.idstr);
    const item = { kind: 'multifd-device', flags, idstr, instance } as const;
    if (!isVfio(idstr)) {
      this.#tell(start, { ...item, size: next_packet_size });
      return next_packet_size;
    }
    const size = next_packet_size - VfioDevicePacket.size;
    if (size < 0) {
      const at = start + MultifdDevicePacket.offsets.next_packet_size;
      c.fail(`at least ${VfioDevicePacket.size} bytes of device state`, `${next_packet_size}`, at);
    }
    const vfio = yield* this.#vfioHead();
    this.#tell(start, { ...item, vfio, size });
    return size;
  }

  *#vfioHead(): Steps<VfioPacket> {
    const c = this.#cursor;
    const at = c.offset;
    const { version, idx, flags } = yield* this.#struct(VfioDevicePacket, "the head of VFIO's packet");
    if (version !== VFIO_DEVICE_PACKET_VERSION) {
      c.fail(`version ${VFIO_DEVICE_PACKET_VERSION} of VFIO's packet`, `${version}`, at);
    }
    if (idx === VFIO_DEVICE_PACKET_BAD_INDEX) c.fail(`an index below ${idx}`, `${idx}`, at + 4);
    if ((flags & ~VFIO_DEVICE_PACKET_CONFIG) !== 0) {
      c.fail("known flags of VFIO's packet", hex(flags), at + 8);
    }
    return { index: idx, config: flags !== 0 };
  }

  *#struct<F extends Fields>(layout: Struct<F>, what: string): Steps<StructValue<F>> {
    const c = this.#cursor;
    yield* c.need(layout.size, what);
    const value = layout.decode(c.bytes, { order: 'big', offset: c.pos });
    c.pos += layout.size;
    return value;
  }

  #tell(start: number, item: Parameters<MultifdSink['item']>[0]): void {
    this.#sink.item(item, start, this.#cursor.offset - start);
  }
}

function checkMagic(c: Cursor): void {
  const magic = u32At(c.bytes, c.pos);
  if (magic !== MULTIFD_MAGIC) c.fail(`the magic of multifd (${hex(MULTIFD_MAGIC)})`, hex(magic, 8));
  const version = u32At(c.bytes, c.pos + 4);
  if (version !== MULTIFD_VERSION) {
    c.fail(`version ${MULTIFD_VERSION} of multifd`, `${version}`, c.offset + 4);
  }
}

/** Pages that are not compressed are all of one size, which nothing else in the packet tells. */
function checkSize(c: Cursor, pages: number, size: number, start: number): void {
  const right = pages === 0 ? size === 0 : isTargetPageSize(size / pages);
  if (right) return;
  const at = start + MultifdRamPacket.offsets.next_packet_size;
  c.fail(`the bytes of ${pages} pages of one size`, `${size}`, at);
}

function untilNul(bytes: Uint8Array): string {
  const nul = bytes.indexOf(0);
  return latin1(bytes, 0, nul < 0 ? bytes.length : nul);
}
