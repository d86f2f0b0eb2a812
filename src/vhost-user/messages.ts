import { type Bounds, VHOST_USER_REQUEST_SHAPES } from '../machines/vhost-user-requests.js';
import { DeviceError } from '../uapi/device.js';
import { VHOST_VRING_F_LOG, VhostMemory, VringAddr } from '../uapi/vhost.js';
import type { IotlbMessage, VringAddresses } from '../uapi/vhost-backend.js';
import {
  VHOST_USER_FLAGS,
  VHOST_USER_MAX_FDS,
  VHOST_USER_REQUESTS,
  VHOST_USER_VRING_FD,
  VhostUserConfig,
  VhostUserHeader,
  VhostUserInflight,
  VhostUserMemoryRegion,
  type VhostUserProtocolFeature,
  type VhostUserRequest,
  vhostUserRequest,
} from '../uapi/vhost-user.js';

/** How a request looks that one of our own ends sends or serves, and what it needs. */
export interface RequestForm {
  /** Bytes of its payload. */
  readonly payload: Bounds;
  /** Descriptors with it. */
  readonly fds: Bounds;
  /** It has an answer of its own; all others are acknowledged at most. */
  readonly answers: boolean;
  /** The protocol feature without which nobody sends it. */
  readonly feature?: VhostUserProtocolFeature;
  /** It exists only where VHOST_USER_F_PROTOCOL_FEATURES is offered. */
  readonly protocol?: boolean;
}

type Narrower = Partial<Pick<RequestForm, 'payload' | 'fds'>>;

/** Most bytes of a device's configuration space that cross, behind their head of 12. */
const CONFIG: Narrower = { payload: [12, 12 + 256] };
/** The payload says whether a descriptor comes along. */
const VRING_FD: Narrower = { fds: [0, 1] };

/**
 * The requests that one of our own ends sends or serves, with bounds where the text sets none. Others are
 * passed on by the proxy, and refused else.
 */
const SERVED: Partial<Readonly<Record<VhostUserRequest, Narrower>>> = {
  GET_FEATURES: {},
  SET_FEATURES: {},
  SET_OWNER: {},
  RESET_OWNER: {},
  SET_MEM_TABLE: {
    payload: [VhostMemory.size, VhostMemory.size + VHOST_USER_MAX_FDS * VhostUserMemoryRegion.size],
    fds: [0, VHOST_USER_MAX_FDS],
  },
  // Answered with LOG_SHMFD only, and then it carries a descriptor.
  SET_LOG_BASE: {},
  SET_VRING_NUM: {},
  SET_VRING_ADDR: {},
  SET_VRING_BASE: {},
  GET_VRING_BASE: {},
  SET_VRING_KICK: VRING_FD,
  SET_VRING_CALL: VRING_FD,
  SET_VRING_ERR: VRING_FD,
  GET_PROTOCOL_FEATURES: {},
  SET_PROTOCOL_FEATURES: {},
  GET_QUEUE_NUM: {},
  SET_VRING_ENABLE: {},
  SEND_RARP: {},
  IOTLB_MSG: {},
  GET_CONFIG: CONFIG,
  SET_CONFIG: CONFIG,
  GET_INFLIGHT_FD: {},
  SET_INFLIGHT_FD: {},
  RESET_DEVICE: {},
  SET_STATUS: {},
  GET_STATUS: {},
  SET_DEVICE_STATE_FD: {},
  CHECK_DEVICE_STATE: {},
};

/** The form of a request by its name, or undefined when neither of our ends knows it. */
export function requestForm(name: VhostUserRequest | undefined): RequestForm | undefined {
  return name === undefined ? undefined : FORMS.get(name);
}

const FORMS: ReadonlyMap<string, RequestForm> = new Map(
  Object.entries(SERVED).map(([name, narrower]) => {
    const { payload, fds, reply, feature, protocol } = VHOST_USER_REQUEST_SHAPES[name as VhostUserRequest];
    const form = { payload: payload!, fds, answers: reply === 'own', ...(feature && { feature }) };
    return [name, { ...form, ...(protocol && { protocol }), ...narrower }];
  }),
);

/** A message: its header's request and flags, its payload, and descriptors that belong to whoever holds it. */
export interface VhostUserMessage {
  readonly request: number;
  readonly flags: number;
  readonly payload: Uint8Array;
  readonly fds: number[];
  /** The whole message as it came, header and payload. */
  readonly bytes: Uint8Array;
}

/** The name of a message's request, or its number in words. */
export function requestName(number: number): string {
  return vhostUserRequest(number) ?? `request ${number}`;
}

/** @throws DeviceError EPROTO when a message is of another version, or not what is expected of this side */
export function checkFlags({ request, flags }: VhostUserMessage, isReply: boolean): void {
  const { VERSION_MASK, VERSION, REPLY } = VHOST_USER_FLAGS;
  if ((flags & VERSION_MASK) !== VERSION || ((flags & REPLY) !== 0) !== isReply)
    throw new DeviceError(
      'EPROTO',
      `${requestName(request)} with flags 0x${flags.toString(16)}: not a ${isReply ? 'reply' : 'request'} of version 1`,
    );
}

/** A message as bytes. */
export function encodeMessage(
  request: VhostUserRequest | number,
  flags: number,
  payload: Uint8Array = EMPTY,
): Uint8Array {
  const header = VhostUserHeader.encode({
    request: typeof request === 'number' ? request : VHOST_USER_REQUESTS[request],
    flags: flags | VHOST_USER_FLAGS.VERSION,
    size: payload.length,
  });
  return Buffer.concat([header, payload]);
}

const EMPTY = new Uint8Array();

/** The payload of most messages. */
export function u64(value: number | bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
}

/** @throws DeviceError EPROTO when it is not exactly that */
export function readU64(payload: Uint8Array, what: string): bigint {
  if (payload.length !== 8) throw new DeviceError('EPROTO', `${what} has ${payload.length} bytes, not 8`);
  return Buffer.from(payload).readBigUInt64LE();
}

/** A 64-bit field as a number. @throws DeviceError EINVAL when it is not exact as one */
export function exact(value: bigint, what: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER))
    throw new DeviceError('EINVAL', `${what} is 0x${value.toString(16)}, which is beyond what is used here`);
  return Number(value);
}

/** A region of SET_MEM_TABLE as it crosses. Bytes. */
export interface WireRegion {
  readonly gpa: number;
  readonly size: number;
  readonly uaddr: number;
  readonly mmapOffset: number;
}

export function encodeMemTable(regions: readonly WireRegion[]): Uint8Array {
  return Buffer.concat([
    VhostMemory.encode({ nregions: regions.length, padding: 0 }),
    ...regions.map(({ gpa, size, uaddr, mmapOffset }) =>
      VhostUserMemoryRegion.encode({
        guest_phys_addr: BigInt(gpa),
        memory_size: BigInt(size),
        userspace_addr: BigInt(uaddr),
        mmap_offset: BigInt(mmapOffset),
      }),
    ),
  ]);
}

/** @throws DeviceError EPROTO when the size is not that of its count; EINVAL when an address is out of range */
export function decodeMemTable(payload: Uint8Array): WireRegion[] {
  const { nregions } = VhostMemory.decode(payload);
  if (payload.length !== VhostMemory.size + nregions * VhostUserMemoryRegion.size)
    throw new DeviceError('EPROTO', `SET_MEM_TABLE has ${payload.length} bytes for ${nregions} regions`);
  return Array.from({ length: nregions }, (_, index) => {
    const offset = VhostMemory.size + index * VhostUserMemoryRegion.size;
    const region = VhostUserMemoryRegion.decode(payload, { offset });
    const size = exact(region.memory_size, 'memory_size');
    if (size === 0) throw new DeviceError('EINVAL', `region ${index} of SET_MEM_TABLE is empty`);
    const from = (value: bigint, what: string) => exact(value + region.memory_size, what) - size;
    return {
      gpa: from(region.guest_phys_addr, 'the end of a region'),
      size,
      uaddr: from(region.userspace_addr, 'the end of a region'),
      mmapOffset: from(region.mmap_offset, 'the end of a mapping'),
    };
  });
}

export function encodeVringAddr(index: number, addresses: VringAddresses): Uint8Array {
  const { desc, used, avail, logGuestAddr, log } = addresses;
  return VringAddr.encode({
    index,
    flags: log ? VHOST_VRING_F_LOG : 0,
    desc_user_addr: BigInt(desc),
    used_user_addr: BigInt(used),
    avail_user_addr: BigInt(avail),
    log_guest_addr: BigInt(logGuestAddr),
  });
}

/** @throws DeviceError EINVAL when an address is out of range; EOPNOTSUPP when a flag is unknown */
export function decodeVringAddr(payload: Uint8Array): { index: number; addresses: VringAddresses } {
  const { index, flags, ...addr } = VringAddr.decode(payload);
  if ((flags & ~VHOST_VRING_F_LOG) !== 0)
    throw new DeviceError('EOPNOTSUPP', `SET_VRING_ADDR with flags 0x${flags.toString(16)}`);
  return {
    index,
    addresses: {
      desc: exact(addr.desc_user_addr, 'desc_user_addr'),
      used: exact(addr.used_user_addr, 'used_user_addr'),
      avail: exact(addr.avail_user_addr, 'avail_user_addr'),
      logGuestAddr: exact(addr.log_guest_addr, 'log_guest_addr'),
      log: (flags & VHOST_VRING_F_LOG) !== 0,
    },
  };
}

/** Payload of SET_VRING_KICK, CALL and ERR. */
export function encodeVringFd(index: number, hasFd: boolean): Uint8Array {
  return u64(index | (hasFd ? 0 : VHOST_USER_VRING_FD.NO_FD));
}

/** @throws DeviceError EPROTO when the descriptors do not agree with it */
export function decodeVringFd(payload: Uint8Array, fds: number, what: string): number {
  const word = readU64(payload, what);
  const hasFd = (word & BigInt(VHOST_USER_VRING_FD.NO_FD)) === 0n;
  if (hasFd !== (fds === 1))
    throw new DeviceError('EPROTO', `${what} says ${hasFd ? 'a' : 'no'} descriptor and comes with ${fds}`);
  return Number(word) & VHOST_USER_VRING_FD.INDEX_MASK;
}

/** `struct vhost_iotlb_msg`, padded as C does. It has no address space. */
export function encodeIotlb({ type, iova, size, uaddr, perm }: IotlbMessage): Uint8Array {
  const bytes = Buffer.alloc(VHOST_USER_REQUEST_SHAPES.IOTLB_MSG.payload![1]);
  for (const [index, value] of [iova, size, uaddr].entries())
    bytes.writeBigUInt64LE(BigInt(value), 8 * index);
  bytes.writeUInt8(perm, 24);
  bytes.writeUInt8(type, 25);
  return bytes;
}

export function decodeIotlb(payload: Uint8Array): IotlbMessage {
  const bytes = Buffer.from(payload);
  const [iova, size, uaddr] = [0, 8, 16].map((at) => exact(bytes.readBigUInt64LE(at), 'an IOTLB message'));
  return { asid: 0, iova: iova!, size: size!, uaddr: uaddr!, perm: bytes[24]!, type: bytes[25]! };
}

/** Head and bytes of GET_CONFIG and SET_CONFIG. */
export function encodeConfig(offset: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([VhostUserConfig.encode({ offset, size: bytes.length, flags: 0 }), bytes]);
}

/** @throws DeviceError EPROTO when there are not as many bytes as it says */
export function decodeConfig(payload: Uint8Array, what: string): { offset: number; bytes: Uint8Array } {
  const { offset, size } = VhostUserConfig.decode(payload);
  const bytes = payload.subarray(VhostUserConfig.size);
  if (bytes.length !== size)
    throw new DeviceError('EPROTO', `${what} says ${size} bytes and has ${bytes.length}`);
  return { offset, bytes };
}

/** The inflight description of 20 bytes, or of the 24 that C pads it to. */
export function decodeInflight(payload: Uint8Array): {
  size: number;
  offset: number;
  queues: number;
  queueSize: number;
} {
  const padded = new Uint8Array(VhostUserInflight.size);
  padded.set(payload.subarray(0, padded.length));
  const { mmap_size, mmap_offset, num_queues, queue_size } = VhostUserInflight.decode(padded);
  return {
    size: exact(mmap_size, 'mmap_size'),
    offset: exact(mmap_offset, 'mmap_offset'),
    queues: num_queues,
    queueSize: queue_size,
  };
}
