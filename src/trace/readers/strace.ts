import { ERRNO } from '../../uapi/errno.js';
import { IOCTLS } from '../../uapi/vfio.js';
import type { TraceEvent } from '../event.js';
import { detached } from '../lines.js';
import type { ParseContext, Parser, Reader } from '../reader.js';
import { firstLines, kinds, type LinePlace, type LineResult, lineParser } from './line-parser.js';
import { type StraceCall, type StraceTime, straceCall, straceLine } from './strace-line.js';
import { known } from './uapi-calls.js';
import { put } from './uapi-fds.js';

/**
 * Reader of strace of one VFIO user (`-f` with its threads). strace prints VFIO_DEVICE_FEATURE
 * without its payload, so states cannot be seen: what is left are resets, opened devices, and reads
 * and writes of descriptors that are surely data_fds, for they took VFIO_MIG_GET_PRECOPY_INFO or are
 * named so (`-y`). Which device a data_fd belongs to shows only while there is just one.
 */
const HEAD_LINES = 60;
/** Most threads with a call under way, and most descriptors, that are followed at a time. */
const LIMIT = 4096;
/** How much of an unfinished call is kept: its head, and the end of its arguments. */
const UNFINISHED_LIMIT = 4096;
const DAY = 86_400_000_000;

const UNFINISHED = '<unfinished ...>';
const RESUMED = /^<\.\.\. ([a-z_][a-z0-9_]*) resumed> ?/;
const WATCHED = /^(?:ioctl|read|write|close)\(/;

const DEVICE_PATH = 'anon_inode:[vfio-device]';
/** `mtty_mig`, `mlx5vf_mig`, `hisi_acc_vf_mig`, `virtio_vf_mig`: what drivers call their data_fds. */
const DATA_PATH = /^anon_inode:\[?\w+_mig\b/;

function detect(head: Uint8Array): number {
  const lines = firstLines(head, HEAD_LINES);
  const calls = lines.filter(
    (line) => straceLine(line) !== undefined && / = |<unfinished|\+\+\+|---/.test(line),
  );
  return lines.length > 0 && calls.length >= Math.max(1, lines.length - 2) ? 0.9 : 0;
}

type At = LinePlace & { t?: number; thread?: number };

class Strace {
  featureSeen = false;
  vfioSeen = false;
  readonly #unfinished = new Map<number, { text: string; at: At }>();
  /** Descriptors of all devices that were ever seen. */
  readonly #devices = new Map<number, true>();
  readonly #dataFds = new Map<number, true>();
  #day = 0;
  #last = 0;

  line(text: string, place: LinePlace): LineResult {
    const line = straceLine(text);
    if (line === undefined) return [];
    const at: At = { ...place, ...known('t', this.#time(line.time)), ...known('thread', line.thread) };
    const thread = line.thread ?? 0;
    const resumed = RESUMED.exec(line.call);
    if (resumed !== null) return this.#resume(thread, line.call.slice(resumed[0].length));
    if (!WATCHED.test(line.call)) return [];
    if (line.call.endsWith(UNFINISHED)) {
      const kept = line.call.slice(0, -UNFINISHED.length).trimEnd().slice(0, UNFINISHED_LIMIT);
      put(this.#unfinished, thread, { text: detached(kept), at }, LIMIT);
      return [];
    }
    return this.#ended(line.call, at);
  }

  #resume(thread: number, rest: string): LineResult {
    const begun = this.#unfinished.get(thread);
    if (begun === undefined) return [];
    this.#unfinished.delete(thread);
    return this.#ended(begun.text + rest, begun.at);
  }

  #time(time: StraceTime | undefined): number | undefined {
    if (time === undefined) return undefined;
    if (time.kind === 'relative') this.#last += time.value;
    else if (time.kind === 'epoch') this.#last = time.value;
    else {
      if (time.value + this.#day < this.#last - DAY / 2) this.#day += DAY;
      this.#last = time.value + this.#day;
    }
    return this.#last;
  }

  #ended(text: string, at: At): LineResult {
    const call = straceCall(text);
    // A call that never returned, or one on no descriptor, says nothing here.
    if (call?.fd === undefined) return / = \?/.test(text.slice(-40)) || call !== undefined ? [] : undefined;
    if (call.path === DEVICE_PATH) this.#device(call.fd);
    else if (call.path !== undefined && DATA_PATH.test(call.path)) put(this.#dataFds, call.fd, true, LIMIT);
    if (call.name === 'ioctl') return this.#ioctl(call, call.fd, at);
    if (call.name === 'close') return this.#close(call, call.fd, at);
    if (!this.#dataFds.has(call.fd)) return [];
    const result = call.errno === 0 ? call.ret : -call.errno;
    const kind = call.name === 'read' ? 'data_read' : 'data_write';
    return [{ kind, ...at, device: this.#owner(call.fd), ...known('size', call.last), result }];
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
    if (call.ioctl !== undefined) this.vfioSeen = true;
    switch (call.ioctl) {
      case IOCTLS.VFIO_DEVICE_FEATURE:
        this.featureSeen = true;
        return [];
      case IOCTLS.VFIO_DEVICE_RESET:
        this.#device(fd);
        return [{ kind: 'reset', ...at, device: `fd ${fd}`, errno: call.errno }];
      case IOCTLS.VFIO_GROUP_GET_DEVICE_FD:
        return call.errno === 0 ? this.#opened(call.ret, at) : [];
      case IOCTLS.VFIO_DEVICE_BIND_IOMMUFD:
        return call.errno === 0 ? this.#opened(fd, at) : [];
      case IOCTLS.VFIO_MIG_GET_PRECOPY_INFO:
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

  #close(call: StraceCall, fd: number, at: At): TraceEvent[] {
    if (call.errno === ERRNO.EBADF) return [];
    if (!this.#dataFds.delete(fd)) return [];
    return [{ kind: 'data_close', ...at, device: this.#owner(fd) }];
  }
}

function open(context: ParseContext): Parser {
  const strace = new Strace();
  return lineParser(context, (text, place) => strace.line(text, place), {
    newline: true,
    finish: () => {
      if (strace.featureSeen) {
        context.remark(
          'strace prints VFIO_DEVICE_FEATURE without its payload, so the requested states cannot be seen; ' +
            'record with `stopcopy record` instead',
        );
      } else if (!strace.vfioSeen) context.remark('no call of VFIO was seen in this strace');
      return [];
    },
  });
}

export const straceReader: Reader = {
  format: 'strace',
  title: 'strace of a VFIO user',
  shows: kinds('reset', 'device_open', 'precopy_info', 'data_read', 'data_write', 'data_close'),
  detect,
  open,
};
