/**
 * The vfio-user protocol: message header, commands, and the payloads that carry migration.
 *
 * Source: `docs/interop/vfio-user.rst` of QEMU ("Header", "Commands"), and the layouts that
 * libvfio-user sends. All fields are in host byte order: little endian on x86 and arm64.
 * Sizes and offsets of payloads count from the end of the 16-byte header.
 */
import { needBytes, struct, type ValueOf } from './struct.js';
import type { MigState } from './vfio.js';

/** Command numbers of "Commands". 14 was DIRTY_PAGES and is gone. */
export const VFIO_USER_COMMANDS = {
  VERSION: 1,
  DMA_MAP: 2,
  DMA_UNMAP: 3,
  DEVICE_GET_INFO: 4,
  DEVICE_GET_REGION_INFO: 5,
  DEVICE_GET_REGION_IO_FDS: 6,
  DEVICE_GET_IRQ_INFO: 7,
  DEVICE_SET_IRQS: 8,
  REGION_READ: 9,
  REGION_WRITE: 10,
  DMA_READ: 11,
  DMA_WRITE: 12,
  DEVICE_RESET: 13,
  REGION_WRITE_MULTI: 15,
  DEVICE_FEATURE: 16,
  MIG_DATA_READ: 17,
  MIG_DATA_WRITE: 18,
} as const;

export type VfioUserCommand = keyof typeof VFIO_USER_COMMANDS;

const COMMAND_NAMES = new Map<number, VfioUserCommand>(
  (Object.keys(VFIO_USER_COMMANDS) as VfioUserCommand[]).map((name) => [VFIO_USER_COMMANDS[name], name]),
);

/** The command with this number, or `undefined`. */
export function vfioUserCommand(number: number): VfioUserCommand | undefined {
  return COMMAND_NAMES.get(number);
}

/** Bits of the header's `flags`: a type in bits 0 to 3, then single bits. */
export const VFIO_USER_FLAGS = {
  TYPE_MASK: 0xf,
  TYPE_COMMAND: 0,
  TYPE_REPLY: 1,
  NO_REPLY: 0x10,
  ERROR: 0x20,
} as const;

/** The header of every message ("Header"). `size` counts the header too; `error_no` is positive. */
export const VfioUserHeader = struct('vfio_user_header', {
  msg_id: 'u16',
  cmd: 'u16',
  size: 'u32',
  flags: 'u32',
  error_no: 'u32',
});

/** A message's header with its flags taken apart. */
export interface VfioUserMessageHead {
  msgId: number;
  command: number;
  /** Bytes of the whole message, header included, as the header says. */
  size: number;
  type: 'command' | 'reply';
  /** The sender of a command wants no reply. */
  noReply: boolean;
  /** The reply says that the command failed; `errno` may still be 0, which means unknown. */
  failed: boolean;
  errno: number;
}

/**
 * Reads a message header.
 * @throws RangeError when fewer than 16 bytes are there, the size is below 16, or the type is unknown
 */
export function decodeVfioUserHeader(bytes: Uint8Array): VfioUserMessageHead {
  const raw = VfioUserHeader.decode(bytes);
  const type = raw.flags & VFIO_USER_FLAGS.TYPE_MASK;
  if (raw.size < VfioUserHeader.size) {
    throw new RangeError(`vfio_user_header.size: expected at least ${VfioUserHeader.size}, got ${raw.size}`);
  }
  if (type > VFIO_USER_FLAGS.TYPE_REPLY) {
    throw new RangeError(`vfio_user_header.flags: expected type 0 or 1, got ${type}`);
  }
  return {
    msgId: raw.msg_id,
    command: raw.cmd,
    size: raw.size,
    type: type === VFIO_USER_FLAGS.TYPE_REPLY ? 'reply' : 'command',
    noReply: (raw.flags & VFIO_USER_FLAGS.NO_REPLY) !== 0,
    failed: (raw.flags & VFIO_USER_FLAGS.ERROR) !== 0,
    errno: raw.error_no,
  };
}

/**
 * Writes a message: header and payload in one buffer, as libvfio-user needs them on the wire.
 * `size` is taken from the payload. An error reply may carry a payload (libvfio-user echoes it).
 * @throws RangeError when a number does not fit its field
 */
export function encodeVfioUserMessage(
  head: Omit<VfioUserMessageHead, 'size'>,
  payload: Uint8Array = new Uint8Array(),
): Uint8Array {
  const size = VfioUserHeader.size + payload.length;
  const flags =
    (head.type === 'reply' ? VFIO_USER_FLAGS.TYPE_REPLY : VFIO_USER_FLAGS.TYPE_COMMAND) |
    (head.noReply ? VFIO_USER_FLAGS.NO_REPLY : 0) |
    (head.failed ? VFIO_USER_FLAGS.ERROR : 0);
  const bytes = new Uint8Array(size);
  bytes.set(
    VfioUserHeader.encode({ msg_id: head.msgId, cmd: head.command, size, flags, error_no: head.errno }),
  );
  bytes.set(payload, VfioUserHeader.size);
  return bytes;
}

/** Head of a VERSION payload; JSON text with a NUL at its end may follow. */
export const VfioUserVersion = struct('vfio_user_version', { major: 'u16', minor: 'u16' });

/**
 * Reads a VERSION payload. `json` is the text before the first NUL, unparsed.
 * @throws RangeError when fewer than 4 bytes are there
 */
export function decodeVfioUserVersion(
  payload: Uint8Array,
): ValueOf<typeof VfioUserVersion> & { json: string } {
  const head = VfioUserVersion.decode(payload);
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).subarray(
    VfioUserVersion.size,
  );
  const end = text.indexOf(0);
  return { ...head, json: text.toString('utf8', 0, end < 0 ? text.length : end) };
}

/** Head of a DEVICE_FEATURE payload; `flags` as in `struct vfio_device_feature`, `argsz` counts it too. */
export const VfioUserDeviceFeature = struct('vfio_user_device_feature', { argsz: 'u32', flags: 'u32' });

/** Data of feature MIG_DEVICE_STATE. There is no descriptor to pass: `data_fd` means nothing. */
export const VfioUserMigState = struct('vfio_user_device_feature_mig_state', {
  device_state: 'u32',
  data_fd: 'u32',
});

/** Data of feature MIGRATION. */
export const VfioUserMigration = struct('vfio_user_device_feature_migration', { flags: 'u64' });

/** Data of feature DMA_LOGGING_START; the ranges follow inline, and 0 ranges mean all. */
export const VfioUserLoggingControl = struct('vfio_user_device_feature_dma_logging_control', {
  page_size: 'u64',
  num_ranges: 'u32',
  reserved: 'u32',
});

/** Data of feature DMA_LOGGING_REPORT; in the reply the bitmap follows inline. */
export const VfioUserLoggingReport = struct('vfio_user_device_feature_dma_logging_report', {
  iova: 'u64',
  length: 'u64',
  page_size: 'u64',
});

/** Head of MIG_DATA_READ and MIG_DATA_WRITE; the data follows where the direction has any. */
export const VfioUserMigData = struct('vfio_user_mig_data', { argsz: 'u32', size: 'u32' });

/**
 * Reads a MIG_DATA message that carries data: a write request or a read reply.
 * `data` is exactly `size` bytes: libvfio-user pads read replies to the size that was asked for.
 * @throws RangeError when the message holds less data than its `size` field says
 */
export function decodeVfioUserMigData(payload: Uint8Array): {
  argsz: number;
  size: number;
  data: Uint8Array;
} {
  const head = VfioUserMigData.decode(payload);
  needBytes(
    `${VfioUserMigData.name} with ${head.size} bytes of data`,
    payload,
    VfioUserMigData.size + head.size,
  );
  return { ...head, data: payload.subarray(VfioUserMigData.size, VfioUserMigData.size + head.size) };
}

/**
 * `vfu_migr_state_t` of libvfio-user (`include/libvfio-user.h`), in the order of its numbers: what a
 * device's callback is asked for. It is not the numbering of the wire.
 */
export const VFU_MIGR_STATES: readonly MigState[] = ['STOP', 'RUNNING', 'STOP_COPY', 'PRE_COPY', 'RESUMING'];
