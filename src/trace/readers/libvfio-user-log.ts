import { ERRNO } from '../../uapi/errno.js';
import type { MigState } from '../../uapi/vfio.js';
import { VFU_MIGR_STATES } from '../../uapi/vfio-user.js';
import type { TraceEvent } from '../event.js';
import type { ParseContext, Reader } from '../reader.js';
import { kinds, type LinePlace, type LineResult, lineParser } from './line-parser.js';

/**
 * State names in logs, blanks and underscores as dashes. libvfio-user prints the first five; the rest
 * are spellings of its enum and of the uAPI.
 */
const NAMES: Readonly<Record<string, MigState>> = {
  stopped: 'STOP',
  running: 'RUNNING',
  'stop-and-copy': 'STOP_COPY',
  'pre-copy': 'PRE_COPY',
  resuming: 'RESUMING',
  stop: 'STOP',
  'stop-copy': 'STOP_COPY',
  resume: 'RESUMING',
  'running-p2p': 'RUNNING_P2P',
  'pre-copy-p2p': 'PRE_COPY_P2P',
  error: 'ERROR',
};

/** Texts of `strerror` (glibc) for the errors that migration callbacks return. */
const ERROR_TEXTS: Readonly<Record<string, keyof typeof ERRNO>> = {
  'Invalid argument': 'EINVAL',
  'Input/output error': 'EIO',
  'Bad address': 'EFAULT',
  'Cannot allocate memory': 'ENOMEM',
  'Device or resource busy': 'EBUSY',
  'Operation not supported': 'EOPNOTSUPP',
  'Operation not permitted': 'EPERM',
  'Protocol error': 'EPROTO',
  'Resource temporarily unavailable': 'EAGAIN',
  'No space left on device': 'ENOSPC',
};

/** SPDK's prefix: `[date time] file:line:function: *LEVEL*: `; libvfio-user itself has none. */
const SPDK_PREFIX =
  /^\[(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6})\d*)?\] +(?:\S+ )?(?:\*\w+\*: )?/;

/** `lib/migration.c`: before a transition, after it, and when it failed. */
const TRANSITION =
  /^(?:(.*?): )?migration: (transitioning|transitioned|failed to transition) from state (.+?) to state (.+)$/;

/** SPDK's `vfio_user.c`, in the device's callback. */
const CALLBACK = /^(\S+) controller state \d+, migration state (\d+)$/;

/** `lib/libvfio-user.c`: a command was answered with an error. */
const FAILED = /^(?:(.*?): )?msg0x[0-9a-f]+: cmd \d+ failed: (.+)$/;

/** What a device is called whose log names none. */
const NAMELESS = 'vfio-user';

/** Bytes of a line that are looked at; SPDK prints at most 1024. */
const LONGEST = 8192;

/** Most devices of one log that are told apart. */
const MAX_DEVICES = 1000;

type OnDevice = LinePlace & { t?: number; device: string };

/** A transition whose outcome has not been printed yet. */
interface Held {
  from: MigState;
  to: MigState;
  at: OnDevice;
  failed: boolean;
}

class Log {
  readonly #context: ParseContext;
  readonly #held = new Map<string, Held>();
  /** Devices whose transitions the library prints itself. */
  readonly #printed = new Set<string>();
  #unnumberedSeen = false;

  constructor(context: ParseContext) {
    this.#context = context;
  }

  read(text: string, place: LinePlace): LineResult {
    const prefix = SPDK_PREFIX.exec(text);
    const words = prefix === null ? text : text.slice(prefix[0].length);
    const at = { ...timeOf(prefix), ...place };
    const transition = TRANSITION.exec(words);
    if (transition !== null) return this.#transition(transition, at);
    const failed = FAILED.exec(words);
    if (failed !== null) return this.#failed(failed[1] ?? NAMELESS, failed[2]!, at);
    const callback = CALLBACK.exec(words);
    return callback === null ? [] : this.#callback(callback[1]!, Number(callback[2]), at);
  }

  /** Transitions whose outcome never came. */
  finish(): readonly TraceEvent[] {
    return [...this.#held.keys()].flatMap((device) => this.#release(device));
  }

  #transition(match: RegExpExecArray, place: LinePlace): LineResult {
    const [, device = NAMELESS, verb, fromName, toName] = match;
    const [from, to] = [stateOf(fromName!), stateOf(toName!)];
    if (from === undefined || to === undefined) return undefined;
    const held = this.#held.get(device);
    const same = held !== undefined && held.from === from && held.to === to && !held.failed;
    const at: OnDevice = { ...place, device };
    if (same && verb === 'transitioned') {
      this.#held.delete(device);
      return [{ kind: 'driver_arc', ...at, from, to, errno: 0 }];
    }
    if (same && verb === 'failed to transition') {
      held.failed = true;
      return [];
    }
    const before = this.#release(device);
    if (from === to || !this.#knows(device)) return before;
    if (verb === 'transitioned') return [...before, { kind: 'driver_arc', ...at, from, to, errno: 0 }];
    this.#held.set(device, { from, to, at, failed: verb === 'failed to transition' });
    return before;
  }

  /** Notes a device; false when there are too many of them. */
  #knows(device: string): boolean {
    if (this.#printed.has(device)) return true;
    if (this.#printed.size >= MAX_DEVICES) return false;
    if (this.#printed.size === 0) {
      this.#context.remark(
        'libvfio-user of before 2023 prints these lines for requests of migration protocol v1; one request may go from running to stop-and-copy there',
      );
    }
    this.#printed.add(device);
    return true;
  }

  /** The answer to a command: it carries the error of a transition that has just failed. */
  #failed(device: string, text: string, place: LinePlace): readonly TraceEvent[] {
    const held = this.#held.get(device);
    const name = ERROR_TEXTS[text];
    if (held?.failed !== true || name === undefined) return [];
    this.#held.delete(device);
    const { from, to } = held;
    return [{ kind: 'driver_arc', ...place, device, from, to, errno: ERRNO[name]! }];
  }

  /** The event of a transition that nothing more will be heard of. */
  #release(device: string): readonly TraceEvent[] {
    const held = this.#held.get(device);
    if (held === undefined) return [];
    this.#held.delete(device);
    const { from, to, at, failed } = held;
    if (!failed) return [{ kind: 'driver_arc', ...at, from, to }];
    if (!this.#unnumberedSeen)
      this.#context.remark('a transition failed without an error number; it is shown as EIO');
    this.#unnumberedSeen = true;
    return [{ kind: 'driver_arc', ...at, from, to, errno: ERRNO.EIO! }];
  }

  /** The device's own callback says what it was asked for. That is news only where the library is silent. */
  #callback(device: string, number: number, place: LinePlace): LineResult {
    if (this.#printed.has(device)) return [];
    const state = VFU_MIGR_STATES[number];
    return state && [{ kind: 'driver_request', ...place, device, state }];
  }
}

function stateOf(name: string): MigState | undefined {
  const key = name.trim().toLowerCase().replaceAll(/[ _]/g, '-');
  return Object.hasOwn(NAMES, key) ? NAMES[key] : undefined;
}

/** SPDK prints local time without a zone; it is taken as UTC, which keeps differences right. */
function timeOf(prefix: RegExpExecArray | null): { t?: number } {
  if (prefix === null) return {};
  const [year, month, day, hour, minute, second] = prefix.slice(1, 7).map(Number) as [number, ...number[]];
  const ms = Date.UTC(year, month! - 1, day, hour, minute, second);
  return { t: ms * 1000 + Number((prefix[7] ?? '').padEnd(6, '0')) };
}

/**
 * Debug logs of libvfio-user, alone or inside SPDK's nvmf target.
 * Sources: libvfio-user `lib/migration.c`, `lib/libvfio-user.c`; SPDK `lib/nvmf/vfio_user.c`.
 */
export const libvfioUserLogReader: Reader = {
  format: 'libvfio-user-log',
  title: 'libvfio-user or SPDK debug log',
  profile: 'libvfio-user',
  shows: kinds('driver_arc', 'driver_request'),
  detect(head) {
    const text = Buffer.from(head.buffer, head.byteOffset, head.byteLength).toString('latin1');
    if (/: \*\w+\*: .*migration: transition|^(?:[^{\n]*: )?migration: transition/m.test(text)) return 0.9;
    if (text.includes('vfio_user_migration_device_state_transition:')) return 0.9;
    return text.includes(':vfio_user_log: *') ? 0.5 : 0;
  },
  open(context) {
    const log = new Log(context);
    return lineParser(context, (text, place) => log.read(text, place), {
      finish: () => log.finish(),
      longest: LONGEST,
      newline: true,
    });
  },
};
