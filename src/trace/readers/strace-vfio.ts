import { ERRNO } from '../../uapi/errno.js';
import { IOCTLS } from '../../uapi/vfio.js';
import type { TraceEvent } from '../event.js';
import { kinds } from './line-parser.js';
import { type At, ioctlOf, type StraceCall } from './strace-line.js';
import { known } from './uapi-calls.js';
import { put } from './uapi-fds.js';

/** What strace shows of a VFIO user. */
export const VFIO_KINDS = kinds(
  'reset',
  'device_open',
  'precopy_info',
  'data_read',
  'data_write',
  'data_close',
);

/** Most descriptors that are followed at a time. */
const LIMIT = 4096;

const DEVICE_PATH = 'anon_inode:[vfio-device]';
/** `mtty_mig`, `mlx5vf_mig`, `hisi_acc_vf_mig`, `virtio_vf_mig`: what drivers call their data_fds. */
const DATA_PATH = /^anon_inode:\[?\w+_mig\b/;

/**
 * VFIO in a strace of one process and its threads. VFIO_DEVICE_FEATURE comes without its payload, so states cannot
 * be seen: what is left are resets, opened devices, and reads and writes of descriptors that are surely data_fds,
 * for they took VFIO_MIG_GET_PRECOPY_INFO or are named so (`-y`). Which device a data_fd belongs to shows only while
 * there is just one.
 */
export class StraceVfio {
  featureSeen = false;
  seen = false;
  /** Descriptors of all devices that were ever seen. */
  readonly #devices = new Map<number, true>();
  readonly #dataFds = new Map<number, true>();

  call(call: StraceCall, fd: number, at: At): TraceEvent[] {
    if (call.path === DEVICE_PATH) this.#device(fd);
    else if (call.path !== undefined && DATA_PATH.test(call.path)) put(this.#dataFds, fd, true, LIMIT);
    if (call.request !== undefined) return this.#ioctl(call, fd, at);
    if (!this.#dataFds.has(fd) || (call.name !== 'read' && call.name !== 'write')) return [];
    const result = call.errno === 0 ? call.ret : -call.errno;
    const kind = call.name === 'read' ? 'data_read' : 'data_write';
    return [{ kind, ...at, device: this.#owner(fd), ...known('size', call.last), result }];
  }

  closed(fd: number, at: At): TraceEvent[] {
    if (!this.#dataFds.delete(fd)) return [];
    return [{ kind: 'data_close', ...at, device: this.#owner(fd) }];
  }

  #device(fd: number): void {
    put(this.#devices, fd, true, LIMIT);
  }

  /** The only device there ever was, or else a name of its own: no other is sure. */
  #owner(fd: number): string {
    const [device] = this.#devices.keys();
    return this.#devices.size === 1 ? `fd ${device}` : `data_fd ${fd}`;
  }

  #ioctl(call: StraceCall, fd: number, at: At): TraceEvent[] {
    const ioctl = call.request && ioctlOf(call.request, IOCTLS);
    if (ioctl !== undefined) this.seen = true;
    switch (ioctl) {
      case 'VFIO_DEVICE_FEATURE':
        this.featureSeen = true;
        return [];
      case 'VFIO_DEVICE_RESET':
        this.#device(fd);
        return [{ kind: 'reset', ...at, device: `fd ${fd}`, errno: call.errno }];
      case 'VFIO_GROUP_GET_DEVICE_FD':
        return call.errno === 0 ? this.#opened(call.ret, at) : [];
      case 'VFIO_DEVICE_BIND_IOMMUFD':
        return call.errno === 0 ? this.#opened(fd, at) : [];
      case 'VFIO_MIG_GET_PRECOPY_INFO':
        return this.#precopyInfo(call, fd, at);
      default:
        return [];
    }
  }

  #opened(fd: number, at: At): TraceEvent[] {
    this.#device(fd);
    this.#dataFds.delete(fd);
    return [{ kind: 'device_open', ...at, device: `fd ${fd}` }];
  }

  /** The same number means something else on a container, where x86 and arm answer ENOTTY. */
  #precopyInfo(call: StraceCall, fd: number, at: At): TraceEvent[] {
    const other = call.errno === ERRNO.ENOTTY || call.errno === ERRNO.EBADF;
    if (!other) put(this.#dataFds, fd, true, LIMIT);
    if (!this.#dataFds.has(fd)) return [];
    return [{ kind: 'precopy_info', ...at, device: this.#owner(fd), errno: call.errno }];
  }
}
