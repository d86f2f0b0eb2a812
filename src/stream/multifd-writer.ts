import {
  MULTIFD_FLAGS,
  MULTIFD_MAGIC,
  MULTIFD_VERSION,
  MultifdDevicePacket,
  MultifdInit,
  MultifdRamPacket,
  VFIO_DEVICE_PACKET_CONFIG,
  VFIO_DEVICE_PACKET_VERSION,
  VfioDevicePacket,
} from '../uapi/qemu-stream.js';
import type { MultifdDeviceItem, MultifdItem, MultifdRamItem, MultifdSink } from './multifd-item.js';
import { type ByteSink, Output } from './output.js';

const HEAD = { magic: MULTIFD_MAGIC, version: MULTIFD_VERSION };
const BIG = { order: 'big' } as const;
/** Room for a name, its NUL included. */
const NAME = 256;

/** Writes one multifd channel from its packets: the mirror of `MultifdReader`, and a sink for one. */
export class MultifdWriter implements MultifdSink {
  readonly #out: Output;
  #owed = 0;

  /** @param options `checksum`: keep a checksum of all that is written (`checksumSoFar`) */
  constructor(sink: ByteSink, options: { checksum?: boolean } = {}) {
    this.#out = new Output(sink, options.checksum);
  }

  /** Bytes written so far. */
  get offset(): number {
    return this.#out.offset;
  }

  /**
   * Checksum of all bytes written so far, whether or not the byte sink has them.
   * @throws TypeError without the option `checksum`
   */
  checksumSoFar(): number {
    return this.#out.checksumSoFar();
  }

  /** Writes a packet up to its data, which follow by `data`. */
  item(item: MultifdItem): void | Promise<void> {
    if (this.#owed > 0)
      throw new RangeError(`${item.kind}: ${this.#owed} bytes of data are missing before it`);
    switch (item.kind) {
      case 'multifd-init':
        this.#out.bytes(
          MultifdInit.encode(
            {
              ...HEAD,
              uuid: item.uuid,
              id: item.channel,
              unused1: new Uint8Array(7),
              unused2: new Uint8Array(32),
            },
            BIG,
          ),
        );
        break;
      case 'multifd-ram':
        this.#ram(item);
        break;
      case 'multifd-device':
        this.#device(item);
        break;
    }
    return this.#out.pressure();
  }

  data(piece: Uint8Array): void | Promise<void> {
    if (piece.length > this.#owed) {
      throw new RangeError(`${piece.length} bytes of data where ${this.#owed} are due`);
    }
    this.#owed -= piece.length;
    this.#out.bytes(piece);
    return this.#out.pressure();
  }

  /** Gives all that is gathered to the byte sink. */
  flush(): void | Promise<void> {
    return this.#out.flush();
  }

  #ram({ flags, packet, allocated, block, normal, zero, size }: MultifdRamItem): void {
    const head = {
      ...HEAD,
      flags,
      pages_alloc: allocated,
      normal_pages: normal.length,
      next_packet_size: size,
      packet_num: packet,
      zero_pages: zero.length,
      unused32: 0,
      unused64: new Uint8Array(24),
      ramblock: name(block),
    };
    const room = allocated - normal.length - zero.length;
    if (room < 0) throw new RangeError(`${normal.length + zero.length} pages in a packet for ${allocated}`);
    this.#out.bytes(MultifdRamPacket.encode(head, BIG));
    for (const offset of normal) this.#out.u64(offset);
    for (const offset of zero) this.#out.u64(offset);
    this.#out.zeros(8 * room);
    this.#owed = size;
  }

  #device({ flags, idstr, instance, vfio, size }: MultifdDeviceItem): void {
    const head = {
      ...HEAD,
      flags: flags | MULTIFD_FLAGS.DEVICE_STATE,
      idstr: name(idstr),
      instance_id: instance,
      next_packet_size: size + (vfio === undefined ? 0 : VfioDevicePacket.size),
    };
    this.#out.bytes(MultifdDevicePacket.encode(head, BIG));
    if (vfio !== undefined) {
      const own = {
        version: VFIO_DEVICE_PACKET_VERSION,
        idx: vfio.index,
        flags: vfio.config ? VFIO_DEVICE_PACKET_CONFIG : 0,
      };
      this.#out.bytes(VfioDevicePacket.encode(own, BIG));
    }
    this.#owed = size;
  }
}

function name(text: string): Uint8Array {
  if (text.length >= NAME) throw new RangeError(`expected a name below ${NAME} bytes, got ${text.length}`);
  const bytes = new Uint8Array(NAME);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  return bytes;
}
