import { type Linux, OPEN } from '../../linux/index.js';
import { DeviceError } from '../../uapi/device.js';
import { ERRNO } from '../../uapi/errno.js';
import {
  IFF_UP,
  Ifreq,
  INTERFACE_IOCTLS,
  INTERFACE_NAME_BYTES,
  PACKET_SOCKET,
  SockaddrLl,
  TUN_FLAGS,
  TUN_IOCTLS,
} from '../../uapi/tun.js';
import { VirtioNetHdr } from '../../uapi/virtio.js';
import { TargetError } from '../target.js';
import { openFile } from './open.js';

const TUN_FILE = '/dev/net/tun';
/** Bytes of the longest frame that is read. */
const LONGEST_FRAME = 65_536;

/**
 * A tap device, which is up, and the other end of its wire: frames that go to the guest, and frames that come from it.
 * It goes away with `close`.
 */
export class Tap {
  /** Name of the interface. */
  readonly name: string;
  /** The descriptor for VHOST_NET_SET_BACKEND. */
  readonly fd: number;
  readonly #linux: Linux;
  readonly #socket: number;
  readonly #frame = new Uint8Array(LONGEST_FRAME);

  private constructor(linux: Linux, name: string, fd: number, socket: number) {
    this.#linux = linux;
    this.name = name;
    this.fd = fd;
    this.#socket = socket;
  }

  /**
   * @param uri errors begin with it
   * @param name of the interface; the kernel puts a number in the place of `%d`
   * @throws TargetError when there is no tun module, or no permission
   */
  static open(linux: Linux, uri: string, name = 'stopcopy%d'): Tap {
    const fd = openFile(
      linux,
      uri,
      TUN_FILE,
      { missing: 'modprobe tun', denied: 'run as root' },
      OPEN.NONBLOCK,
    );
    let socket = -1;
    try {
      const made = makeInterface(linux, fd, name);
      silence(linux, made);
      socket = openWire(linux, made);
      return new Tap(linux, made, fd, socket);
    } catch (error) {
      if (socket !== -1) linux.close(socket);
      linux.close(fd);
      if (!(error instanceof DeviceError)) throw error;
      const why =
        error.errno === ERRNO.EPERM || error.errno === ERRNO.EACCES
          ? 'no permission to make a tap device: run as root (CAP_NET_ADMIN and CAP_NET_RAW)'
          : `no tap device can be made: ${error.message}`;
      throw new TargetError(`${uri}: ${why}`);
    }
  }

  /** Sends a frame to the guest. False: there was no room for it. */
  send(frame: Uint8Array): boolean {
    return this.#linux.write(this.#socket, frame) !== null;
  }

  /** The next frame from the guest; null when there is none for now. */
  receive(): Uint8Array | null {
    const size = this.#linux.read(this.#socket, this.#frame);
    return size === null ? null : this.#frame.slice(0, size);
  }

  close(): void {
    this.#linux.close(this.#socket);
    this.#linux.close(this.fd);
  }
}

/** The interface of a descriptor of tun, with the long virtio-net header; its name. */
function makeInterface(linux: Linux, fd: number, wanted: string): string {
  const { IFF_TAP, IFF_NO_PI, IFF_VNET_HDR } = TUN_FLAGS;
  const request = ifreq(wanted, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
  linux.ioctl(fd, TUN_IOCTLS.TUNSETIFF, request, 'TUNSETIFF');
  const size = new Uint8Array(Int32Array.of(VirtioNetHdr.size).buffer);
  linux.ioctl(fd, TUN_IOCTLS.TUNSETVNETHDRSZ, size, 'TUNSETVNETHDRSZ');
  const { name } = Ifreq.decode(request);
  return new TextDecoder().decode(name.subarray(0, name.indexOf(0)));
}

/** Without IPv6 the host sends nothing of its own accord. Where that cannot be said, there are some frames more. */
function silence(linux: Linux, name: string): void {
  try {
    const fd = linux.open(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`, OPEN.RDWR);
    linux.write(fd, new TextEncoder().encode('1'));
    linux.close(fd);
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
  }
}

/** Switches the interface on, and gives a socket of its frames. */
function openWire(linux: Linux, name: string): number {
  const { libc } = linux.foreign;
  const { AF_PACKET, SOCK_RAW, ETH_P_ALL } = PACKET_SOCKET;
  const protocol = ((ETH_P_ALL & 0xff) << 8) | (ETH_P_ALL >> 8);
  const type = SOCK_RAW | OPEN.NONBLOCK | OPEN.CLOEXEC;
  // Without a protocol it hears of no interface before it is bound to the one.
  const socket = linux.check(libc.socket(AF_PACKET, type, 0), 'a packet socket');
  try {
    const flags = ifreq(name, 0);
    linux.ioctl(socket, INTERFACE_IOCTLS.SIOCGIFFLAGS, flags, 'SIOCGIFFLAGS');
    const up = ifreq(name, (Ifreq.decode(flags).value & 0xffff) | IFF_UP);
    linux.ioctl(socket, INTERFACE_IOCTLS.SIOCSIFFLAGS, up, 'SIOCSIFFLAGS');
    const index = ifreq(name, 0);
    linux.ioctl(socket, INTERFACE_IOCTLS.SIOCGIFINDEX, index, 'SIOCGIFINDEX');
    const rest = { hatype: 0, pkttype: 0, halen: 0, addr: new Uint8Array(8) };
    const at = SockaddrLl.encode({
      family: AF_PACKET,
      protocol,
      ifindex: Ifreq.decode(index).value,
      ...rest,
    });
    linux.check(libc.bind(socket, at, at.length), `bind to ${name}`);
    return socket;
  } catch (error) {
    linux.close(socket);
    throw error;
  }
}

function ifreq(name: string, value: number): Uint8Array {
  const bytes = new Uint8Array(INTERFACE_NAME_BYTES);
  const text = new TextEncoder().encode(name);
  if (text.length === 0 || text.length >= INTERFACE_NAME_BYTES)
    throw new DeviceError(
      'EINVAL',
      `'${name}': an interface has a name of 1 to ${INTERFACE_NAME_BYTES - 1} bytes`,
    );
  bytes.set(text);
  return Ifreq.encode({ name: bytes, value, rest: new Uint8Array(20) });
}
