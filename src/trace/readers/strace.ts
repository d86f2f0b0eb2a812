import { ERRNO } from '../../uapi/errno.js';
import { IOMMUFD_IOCTLS } from '../../uapi/iommufd.js';
import { TYPE1_IOCTLS } from '../../uapi/vfio.js';
import type { EventKind, TraceEvent } from '../event.js';
import { detached } from '../lines.js';
import type { ParseContext, Parser, Reader } from '../reader.js';
import { firstLines, kinds, type LinePlace, type LineResult, lineParser } from './line-parser.js';
import { type Descriptor, Descriptors } from './strace-descriptors.js';
import { KVM_KINDS, kvmCall, kvmIoctl } from './strace-kvm.js';
import {
  type At,
  ioctlOf,
  type StraceCall,
  type StraceIoctl,
  type StraceTime,
  straceCall,
  straceLine,
} from './strace-line.js';
import { StraceVfio, VFIO_KINDS } from './strace-vfio.js';
import { isVhost, VHOST_KINDS, vhostIoctl, vhostWrite } from './strace-vhost.js';
import { VHOST_USER_KINDS, VhostUserSockets } from './strace-vhost-user.js';
import { known } from './uapi-calls.js';
import { put } from './uapi-fds.js';

/**
 * Reader of strace of a VMM, or of a vhost-user back end. strace follows few of the pointers that ioctls have for
 * their third argument: of VFIO_DEVICE_FEATURE, of vhost and of KVM's dirty log it shows that a request was made, and
 * its result. Of a vhost-user socket it shows the messages, as far as the calls are traced and printed whole
 * (`-e trace=recvmsg,sendmsg,recvfrom,read,close -s 512`).
 */
const HEAD_LINES = 60;
/** Most threads with a call under way that are followed at a time. */
const LIMIT = 4096;
/** How much of an unfinished call is kept: its head, and the end of its arguments. */
const UNFINISHED_LIMIT = 4096;
const DAY = 86_400_000_000;

const UNFINISHED = '<unfinished ...>';
const RESUMED = /^<\.\.\. ([a-z_][a-z0-9_]*) resumed> ?/;
const WATCHED =
  /^(?:ioctl|readv?|writev?|close|recvmsg|sendmsg|recvfrom|sendto|openat2?|open|dup[23]?|fcntl|v?fork|clone3?)\(/;

function detect(head: Uint8Array): number {
  const lines = firstLines(head, HEAD_LINES);
  const calls = lines.filter(
    (line) => straceLine(line) !== undefined && / = |<unfinished|\+\+\+|---/.test(line),
  );
  return lines.length > 0 && calls.length >= Math.max(1, lines.length - 2) ? 0.9 : 0;
}

class Strace {
  readonly vfio = new StraceVfio();
  readonly sockets = new VhostUserSockets();
  vhostSeen = false;
  kvmSeen = false;
  /** A request of a dirty log was made whose payload strace does not print. */
  dirtyLogSeen = false;
  readonly #unfinished = new Map<number, { text: string; at: At }>();
  readonly #descriptors = new Descriptors();
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
    // A call that never returned says nothing here.
    if (call === undefined) return / = \?/.test(text.slice(-40)) ? [] : undefined;
    if (/^open/.test(call.name)) return this.#open(call, at);
    if (/fork|^clone/.test(call.name)) return this.#fork(call, at);
    const { fd } = call;
    if (fd === undefined) return [];
    if (call.name === 'close') return this.#close(call, fd, at);
    if (call.name.startsWith('dup') || call.name === 'fcntl') return this.#duplicate(call, fd);
    if (call.request !== undefined)
      return [...this.vfio.call(call, fd, at), ...this.#ioctl({ ...call, request: call.request }, fd, at)];
    const vfio = this.vfio.call(call, fd, at);
    return vfio.length > 0 ? vfio : this.#transfer(call, fd, at);
  }

  #open(call: StraceCall, at: At): TraceEvent[] {
    const path = call.retPath ?? /"((?:[^"\\]|\\.){0,4096})"/.exec(call.rest.slice(0, 8192))?.[1];
    if (call.errno !== 0 || path === undefined) return [];
    const opened = this.#descriptors.opened(call.ret, plainPath(path), at.thread ?? 0);
    if (opened?.kind !== 'vhost') return [];
    this.vhostSeen = true;
    return [{ kind: 'vhost_open', ...at, device: opened.device, interface: opened.via }];
  }

  #fork(call: StraceCall, at: At): TraceEvent[] {
    const shared = /CLONE_(?:FILES|THREAD)/.test(call.rest);
    if (call.errno === 0) this.#descriptors.forked(at.thread ?? 0, call.ret, shared);
    return [];
  }

  #duplicate(call: StraceCall, fd: number): TraceEvent[] {
    if (call.errno === 0 && (call.name !== 'fcntl' || call.rest.includes('F_DUPFD')))
      this.#descriptors.duplicated(fd, call.ret);
    return [];
  }

  #close(call: StraceCall, fd: number, at: At): TraceEvent[] {
    if (call.errno === ERRNO.EBADF) return [];
    const closed = this.#descriptors.closed(fd, at.thread ?? 0);
    const vhost: TraceEvent[] =
      closed?.kind === 'vhost'
        ? [{ kind: 'vhost_close', ...at, device: closed.device, interface: closed.via }]
        : [];
    return [...this.vfio.closed(fd, at), ...vhost, ...this.sockets.closed(fd, this.#process(at), at)];
  }

  #process(at: At): number {
    return this.#descriptors.process(at.thread ?? 0);
  }

  #transfer(call: StraceCall, fd: number, at: At): TraceEvent[] {
    const on = this.#descriptors.used(fd, call.path, at.thread ?? 0);
    if (on?.kind === 'vhost')
      return call.name === 'write' ? vhostWrite(call, on.via, { ...at, device: on.device }) : [];
    return on === undefined ? this.sockets.call(call, fd, this.#process(at), at) : [];
  }

  #ioctl(call: StraceCall & { request: StraceIoctl }, fd: number, at: At): TraceEvent[] {
    const thread = at.thread ?? 0;
    const on = this.#descriptors.used(fd, call.path, thread) ?? this.#byRequest(call, fd, thread);
    if (call.errno === ERRNO.EBADF) return [];
    switch (on?.kind) {
      case 'vhost':
        this.vhostSeen = true;
        return vhostIoctl(call, on.via, { ...at, device: on.device });
      case 'vm':
      case 'vcpu':
        return this.#kvm(call, on, at);
      case 'iommufd':
        return ioctlOf(call.request, IOMMUFD_IOCTLS) === 'IOMMU_IOAS_UNMAP'
          ? [{ kind: 'iommufd_unmap', ...at, device: on.device, errno: call.errno }]
          : [];
      case 'container':
        return ioctlOf(call.request, TYPE1_IOCTLS) === 'VFIO_IOMMU_UNMAP_DMA'
          ? [{ kind: 'type1_unmap', ...at, device: on.device, errno: call.errno }]
          : [];
      default:
        return [];
    }
  }

  /** What a descriptor must be whose opening was not seen, when it answers this request. */
  #byRequest(
    call: StraceCall & { request: StraceIoctl },
    fd: number,
    thread: number,
  ): Descriptor | undefined {
    if (kvmIoctl(call.request) === 'KVM_CREATE_VM' && call.errno === 0) {
      this.kvmSeen = true;
      this.#descriptors.put(call.ret, { kind: 'vm', device: `kvm-vm fd ${call.ret}`, vcpus: 0 }, thread);
      return undefined;
    }
    const vhost = isVhost(call.request);
    if (vhost === undefined || call.path !== undefined || call.errno === ERRNO.ENOTTY) return undefined;
    const via = vhost.vdpa ? 'vdpa' : 'kernel';
    return this.#descriptors.put(fd, { kind: 'vhost', device: `vhost fd ${fd}`, via }, thread);
  }

  #kvm(
    call: StraceCall & { request: StraceIoctl },
    on: Descriptor & { kind: 'vm' | 'vcpu' },
    at: At,
  ): TraceEvent[] {
    this.kvmSeen = true;
    const name = kvmIoctl(call.request);
    if (name === 'KVM_GET_DIRTY_LOG' || name === 'KVM_CLEAR_DIRTY_LOG') this.dirtyLogSeen = true;
    if (name === 'KVM_CREATE_VCPU' && on.kind === 'vm' && call.errno === 0) {
      const vcpu = { kind: 'vcpu', device: on.device, vcpu: on.vcpus++ } as const;
      this.#descriptors.put(call.ret, vcpu, at.thread ?? 0);
    }
    return kvmCall(call, on, at);
  }
}

/** A path that `-xx` has printed as bytes. */
function plainPath(path: string): string {
  return path.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

const SHOWS: ReadonlySet<EventKind> = new Set([
  ...VFIO_KINDS,
  ...VHOST_KINDS,
  ...VHOST_USER_KINDS,
  ...KVM_KINDS,
  ...kinds('vring_backend', 'vdpa_group_asid', 'iommufd_unmap', 'type1_unmap'),
]);

function open(context: ParseContext): Parser {
  const strace = new Strace();
  const emitted = new Set<EventKind>();
  const note = (event: TraceEvent) => {
    emitted.add(event.kind);
    context.emit(event);
  };
  const parser = lineParser({ ...context, emit: note }, (text, place) => strace.line(text, place), {
    newline: true,
    finish: () => {
      for (const text of remarks(strace)) context.remark(text);
      return [];
    },
  });
  return {
    counts: parser.counts,
    write: (block) => parser.write(block),
    end: () => parser.end(),
    /** What this very strace shows: of vhost and KVM only where there are any. */
    get shows() {
      return new Set([
        ...VFIO_KINDS,
        ...(strace.vhostSeen ? VHOST_KINDS : []),
        ...(strace.kvmSeen ? KVM_KINDS : []),
        ...emitted,
      ]);
    },
  };
}

function* remarks(strace: Strace): Generator<string> {
  if (strace.vfio.featureSeen)
    yield 'strace prints VFIO_DEVICE_FEATURE without its payload, so the requested states cannot be seen; ' +
      'record with `stopcopy record` instead';
  if (strace.vhostSeen)
    yield 'strace prints the requests of vhost without their payload: which features, rings and addresses they name cannot be seen';
  if (strace.dirtyLogSeen)
    yield 'strace prints KVM_GET_DIRTY_LOG and KVM_CLEAR_DIRTY_LOG without their payload: which slots and pages they name cannot be seen';
  if (!strace.vfio.seen && !strace.vhostSeen && !strace.kvmSeen && !strace.sockets.seen)
    yield 'no call of VFIO, vhost, vhost-user or KVM was seen in this strace';
}

export const straceReader: Reader = {
  format: 'strace',
  title: 'strace of a user of VFIO, vhost or KVM, or of a vhost-user back end',
  shows: SHOWS,
  detect,
  open,
};
