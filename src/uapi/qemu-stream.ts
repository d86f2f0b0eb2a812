/**
 * The wire format of QEMU's migration stream: numbers and layouts. All integers are big-endian.
 * The tags of VFIO sections are in `qemu.ts`.
 *
 * Sources: QEMU 11.1 `migration/savevm.c`, `migration/ram.c`, `migration/multifd.h`,
 * `hw/vfio/migration-multifd.c`, `docs/devel/migration/mapped-ram.rst`, `scripts/analyze-migration.py`.
 */
import { struct, type ValueOf } from './struct.js';

/** `QEVM`, the first four bytes. */
export const STREAM_MAGIC = 0x5145564d;
/** The version behind the magic of a stream (`QEMU_VM_FILE_VERSION`). */
export const STREAM_VERSION = 3;

/** The byte that each part of a stream begins with (`QEMU_VM_*`). */
export const STREAM_BYTES = {
  EOF: 0x00,
  START: 0x01,
  PART: 0x02,
  END: 0x03,
  FULL: 0x04,
  SUBSECTION: 0x05,
  VMDESCRIPTION: 0x06,
  CONFIGURATION: 0x07,
  COMMAND: 0x08,
  FOOTER: 0x7e,
} as const;

/** Kinds of section: a live state has one START, PARTs and one END, a device that is saved at once a FULL. */
export const SECTION_TYPES = ['START', 'PART', 'END', 'FULL'] as const;
export type SectionType = (typeof SECTION_TYPES)[number];

/** Commands (`MIG_CMD_*`) with the length of their payload, `null` where it varies. */
export const STREAM_COMMANDS = {
  OPEN_RETURN_PATH: { number: 1, length: 0 },
  PING: { number: 2, length: 4 },
  POSTCOPY_ADVISE: { number: 3, length: null },
  POSTCOPY_LISTEN: { number: 4, length: 0 },
  POSTCOPY_RUN: { number: 5, length: 0 },
  POSTCOPY_RAM_DISCARD: { number: 6, length: null },
  PACKAGED: { number: 7, length: 4 },
  ENABLE_COLO: { number: 8, length: 0 },
  POSTCOPY_RESUME: { number: 9, length: 0 },
  RECV_BITMAP: { number: 10, length: null },
  SWITCHOVER_START: { number: 11, length: 0 },
} as const satisfies Record<string, { number: number; length: number | null }>;

export type StreamCommand = keyof typeof STREAM_COMMANDS;

const COMMAND_NAMES = new Map<number, StreamCommand>(
  (Object.keys(STREAM_COMMANDS) as StreamCommand[]).map((name) => [STREAM_COMMANDS[name].number, name]),
);

/** The command with this number, or `undefined`. */
export function streamCommand(number: number): StreamCommand | undefined {
  return COMMAND_NAMES.get(number);
}

/** `idstr` and version of the RAM section. */
export const RAM_SECTION = { idstr: 'ram', version: 4 } as const;

/** Flags of a RAM record, in the bits of its address below the target page size (`RAM_SAVE_FLAG_*`). */
export const RAM_FLAGS = {
  ZERO: 0x02,
  MEM_SIZE: 0x04,
  PAGE: 0x08,
  EOS: 0x10,
  CONTINUE: 0x20,
  XBZRLE: 0x40,
  HOOK: 0x80,
  COMPRESS_PAGE: 0x100,
  MULTIFD_FLUSH: 0x200,
} as const;

export type RamFlag = keyof typeof RAM_FLAGS;

/** First byte of an XBZRLE record (`ENCODING_FLAG_XBZRLE`). */
export const XBZRLE_ENCODING = 1;

/** Target page sizes that a stream can have: the flags must fit below, and QEMU knows none above. */
export const TARGET_PAGE_SIZES = { least: 0x400, most: 0x10000, usual: 0x1000 } as const;

/** Whether a stream can have this target page size. */
export function isTargetPageSize(size: number): boolean {
  const { least, most } = TARGET_PAGE_SIZES;
  return Number.isInteger(size) && size >= least && size <= most && (size & (size - 1)) === 0;
}

/** Capabilities that change the RAM section, as `configuration/capabilities` names them. */
export const STREAM_CAPABILITIES = { ignoreShared: 'x-ignore-shared', mappedRam: 'mapped-ram' } as const;

/** Names of the subsections of the configuration section. */
export const CONFIGURATION_SUBSECTIONS = {
  pageBits: 'configuration/target-page-bits',
  capabilities: 'configuration/capabilities',
  uuid: 'configuration/uuid',
} as const;

/** The header of a block in a mapped-ram file (`MappedRamHeader`, packed): a version, then this. */
export const MAPPED_RAM_VERSION = 1;
/** The header of a block in a mapped-ram file, big endian. */
export const MappedRamHeader = struct('MappedRamHeader', {
  page_size: 'u64',
  bitmap_offset: 'u64',
  pages_offset: 'u64',
});
/** Pages of a block begin at a multiple of this (`MAPPED_RAM_FILE_OFFSET_ALIGNMENT`). */
export const MAPPED_RAM_ALIGNMENT = 0x100000;

/** Bytes of the bitmap of a mapped-ram block: a bit for each page, in whole 64-bit words. */
export function mappedRamBitmapBytes(usedLength: number, pageSize: number): number {
  return Math.ceil(usedLength / pageSize / 64) * 8;
}

/** First bytes and version of every multifd packet (`MULTIFD_MAGIC`, `MULTIFD_VERSION`). */
export const MULTIFD_MAGIC = 0x11223344;
/** The version in each multifd packet. */
export const MULTIFD_VERSION = 1;

/** What a channel begins with (`MultiFDInit_t`). */
export const MultifdInit = struct('MultiFDInit_t', {
  magic: 'u32',
  version: 'u32',
  uuid: { bytes: 16 },
  id: 'u8',
  unused1: { bytes: 7 },
  unused2: { bytes: 32 },
});

/** Flags of a packet (`MULTIFD_FLAG_*`); bits 1 to 5 tell how pages are compressed. */
export const MULTIFD_FLAGS = {
  SYNC: 0x01,
  ZLIB: 0x02,
  ZSTD: 0x04,
  QPL: 0x08,
  UADK: 0x10,
  QATZIP: 0x20,
  DEVICE_STATE: 0x40,
} as const;
/** The bits of a packet's flags that tell how its pages are compressed. */
export const MULTIFD_COMPRESSION_MASK = 0x3e;

/** What every packet begins with (`MultiFDPacketHdr_t`). */
export const MultifdPacketHeader = struct('MultiFDPacketHdr_t', {
  magic: 'u32',
  version: 'u32',
  flags: 'u32',
});

/** A packet with RAM pages (`MultiFDPacket_t`); `pages_alloc` offsets (u64) follow, then the pages. */
export const MultifdRamPacket = struct('MultiFDPacket_t', {
  magic: 'u32',
  version: 'u32',
  flags: 'u32',
  pages_alloc: 'u32',
  normal_pages: 'u32',
  next_packet_size: 'u32',
  packet_num: 'u64',
  zero_pages: 'u32',
  unused32: 'u32',
  unused64: { bytes: 24 },
  ramblock: { bytes: 256 },
});
/** Bytes of pages that a packet has room for (`MULTIFD_PACKET_SIZE`). */
export const MULTIFD_PACKET_BYTES = 512 * 1024;

/** A packet with device state (`MultiFDPacketDeviceState_t`); `next_packet_size` bytes follow. */
export const MultifdDevicePacket = struct('MultiFDPacketDeviceState_t', {
  magic: 'u32',
  version: 'u32',
  flags: 'u32',
  idstr: { bytes: 256 },
  instance_id: 'u32',
  next_packet_size: 'u32',
});

/** What VFIO puts into a device-state packet (`VFIODeviceStatePacket`); the data follow. */
export const VfioDevicePacket = struct('VFIODeviceStatePacket', { version: 'u32', idx: 'u32', flags: 'u32' });
/** The version of VFIO's head in a device-state packet. */
export const VFIO_DEVICE_PACKET_VERSION = 0;
/** Flag of the packet with the config state, which has the highest index. */
export const VFIO_DEVICE_PACKET_CONFIG = 1;
/** An index that no packet may have. */
export const VFIO_DEVICE_PACKET_BAD_INDEX = 0xffff_ffff;

export type MultifdInitValue = ValueOf<typeof MultifdInit>;
/** The decoded head of a packet with RAM pages. */
export type MultifdRamPacketValue = ValueOf<typeof MultifdRamPacket>;

/** Messages of the destination to the source, on the return path (`MIG_RP_MSG_*`); u16 type, u16 length, payload. */
export const RETURN_PATH = {
  /** u32: 0, or the error with which the destination has ended. */
  SHUT: 1,
  /** u32: the value of the PING. */
  PONG: 2,
  /** u64 start, u32 length, name of the RAM block with its length, one byte, before it. */
  REQ_PAGES_ID: 3,
  /** u64 start, u32 length, in the block of the last request. */
  REQ_PAGES: 4,
  RECV_BITMAP: 5,
  /** u32. */
  RESUME_ACK: 6,
  SWITCHOVER_ACK: 7,
} as const;
export type ReturnPathMessage = keyof typeof RETURN_PATH;
