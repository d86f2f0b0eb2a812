import { DeviceError } from '../uapi/device.js';
import { ERRNO } from '../uapi/errno.js';
import { MSG, SCM_MAX_FD, SCM_RIGHTS, SOL_SOCKET } from './constants.js';
import { type Foreign, failed } from './libc.js';

/** Bytes that one call moves at most. */
export const LARGEST_MESSAGE = 1 << 16;
/** `struct msghdr`, then `struct iovec`, of 64-bit processors. */
const HEADER = {
  name: 0,
  nameLength: 8,
  iov: 16,
  iovCount: 24,
  control: 32,
  controlLength: 40,
  flags: 48,
} as const;
const IOV = { base: 56, length: 64 } as const;
/** `struct cmsghdr`: length, level, type, and then the descriptors. */
const CONTROL = { length: 0, level: 8, type: 12, data: 16 } as const;
const CONTROL_AT = 128;
const DATA_AT = CONTROL_AT + 1024 + 16;

/** What came in with one read of a socket. Who gets it owns the descriptors, and closes them. */
export interface Received {
  /** Bytes; 0: the other side has closed. */
  readonly size: number;
  readonly fds: number[];
  /** There were more descriptors than were asked for; the kernel has dropped the others. */
  readonly cut: boolean;
}

/** sendmsg and recvmsg with descriptors, over one piece of memory that the kernel is told of. */
export class MessageCalls {
  readonly #foreign: Foreign;
  readonly #bytes: Uint8Array;
  readonly #words: DataView;
  readonly #address: number;

  constructor(foreign: Foreign) {
    this.#foreign = foreign;
    const { bytes, address } = foreign.fixed(DATA_AT + LARGEST_MESSAGE);
    this.#bytes = bytes.fill(0);
    this.#words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#address = address;
  }

  /**
   * Sends bytes, and descriptors with the first of them; these stay open here. Never waits.
   * @returns bytes that were taken, or null when none fit for now
   * @throws DeviceError when it fails, EPIPE when nobody is there; EINVAL: descriptors without a byte, or too many
   */
  send(fd: number, bytes: Uint8Array, fds: readonly number[] = []): number | null {
    if (fds.length > SCM_MAX_FD || (fds.length > 0 && bytes.length === 0))
      throw new DeviceError('EINVAL', `${fds.length} descriptors with ${bytes.length} bytes`);
    const size = Math.min(bytes.length, LARGEST_MESSAGE);
    this.#bytes.set(size === bytes.length ? bytes : bytes.subarray(0, size), DATA_AT);
    this.#prepare(size, fds.length);
    if (fds.length > 0) {
      const { length, level, type, data } = CONTROL;
      this.#words.setBigUint64(CONTROL_AT + length, BigInt(data + 4 * fds.length), true);
      this.#words.setInt32(CONTROL_AT + level, SOL_SOCKET, true);
      this.#words.setInt32(CONTROL_AT + type, SCM_RIGHTS, true);
      for (const [index, each] of fds.entries())
        this.#words.setInt32(CONTROL_AT + data + 4 * index, each, true);
    }
    return this.#call('sendmsg', fd, MSG.DONTWAIT | MSG.NOSIGNAL);
  }

  /**
   * Receives what is there, at most `into.length` bytes and `fds` descriptors, which are closed on exec. Never waits.
   * @returns null when nothing is there for now
   * @throws DeviceError when it fails
   */
  receive(fd: number, into: Uint8Array, fds: number = SCM_MAX_FD): Received | null {
    this.#prepare(Math.min(into.length, LARGEST_MESSAGE), Math.min(fds, SCM_MAX_FD));
    const size = this.#call('recvmsg', fd, MSG.DONTWAIT | MSG.CMSG_CLOEXEC);
    if (size === null) return null;
    const received = this.#descriptors();
    into.set(this.#bytes.subarray(DATA_AT, DATA_AT + size));
    const cut = (this.#words.getInt32(HEADER.flags, true) & MSG.CTRUNC) !== 0;
    return { size, fds: received, cut };
  }

  #prepare(size: number, fds: number): void {
    const words = this.#words;
    const control = fds === 0 ? 0 : CONTROL.data + ((4 * fds + 7) & ~7);
    words.setBigUint64(HEADER.iov, BigInt(this.#address + IOV.base), true);
    words.setBigUint64(HEADER.iovCount, 1n, true);
    words.setBigUint64(HEADER.control, control === 0 ? 0n : BigInt(this.#address + CONTROL_AT), true);
    words.setBigUint64(HEADER.controlLength, BigInt(control), true);
    words.setInt32(HEADER.flags, 0, true);
    words.setBigUint64(IOV.base, BigInt(this.#address + DATA_AT), true);
    words.setBigUint64(IOV.length, BigInt(size), true);
  }

  #call(name: 'sendmsg' | 'recvmsg', fd: number, flags: number): number | null {
    const { libc, errno } = this.#foreign;
    for (;;) {
      const result = libc[name](fd, this.#address, flags);
      if (result >= 0) return result;
      const why = errno();
      if (why === ERRNO.EAGAIN) return null;
      if (why !== ERRNO.EINTR) throw failed(why, name);
    }
  }

  /** Every descriptor of every control message that came. */
  #descriptors(): number[] {
    const words = this.#words;
    const end = CONTROL_AT + Number(words.getBigUint64(HEADER.controlLength, true));
    const fds: number[] = [];
    for (let at = CONTROL_AT; at + CONTROL.data <= end; ) {
      const length = Number(words.getBigUint64(at + CONTROL.length, true));
      if (length < CONTROL.data) break;
      const isRights =
        words.getInt32(at + CONTROL.level, true) === SOL_SOCKET &&
        words.getInt32(at + CONTROL.type, true) === SCM_RIGHTS;
      for (let fd = at + CONTROL.data; isRights && fd + 4 <= Math.min(at + length, end); fd += 4)
        fds.push(words.getInt32(fd, true));
      at += (length + 7) & ~7;
    }
    return fds;
  }
}
