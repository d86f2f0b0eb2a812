import type { NotifierEvent } from '../../uapi/qemu.js';
import type { EventKind, EventOf, TraceEvent } from '../event.js';
import { InputError } from '../reader.js';
import type { LogLine } from './qemu-log-line.js';

type Without<E, K extends PropertyKey> = E extends unknown ? Omit<E, K> : never;

/** An event without the place where it was seen; the parser adds that. */
export type Bare<K extends EventKind = EventKind> = Without<
  EventOf<K>,
  Exclude<keyof TraceEvent, 'kind'> & ('t' | 'host' | 'file' | 'line' | 'thread')
>;

/** How the lines of one trace event of QEMU are read. */
export interface Row {
  /** Name of the trace event. */
  readonly name: string;
  /** Kinds of event that its lines can give. */
  readonly kinds: readonly EventKind[];
  /** The line is read even when nobody listens to its kinds: it tells how to read other lines. */
  readonly always?: boolean;
  /** Reads the arguments. Throws `MALFORMED` when they are not those of this event. */
  readonly read: (line: LogLine, log: LogMemory) => Bare | readonly Bare[];
}

/** A row whose kinds and result belong together. */
export function row<K extends EventKind>(
  name: string,
  kinds: readonly K[],
  read: (line: LogLine, log: LogMemory) => Bare<K> | readonly Bare<K>[],
  options: { always?: boolean } = {},
): Row {
  return { name, kinds, read: read as Row['read'], ...options };
}

/** Kinds whose events need nothing but their device. */
type DeviceKind =
  | 'init_data_sent'
  | 'save_config'
  | 'save_cleanup'
  | 'load_config_start'
  | 'load_config_end'
  | 'load_cleanup'
  | 'load_thread_start'
  | 'load_buffers_done'
  | 'load_thread_end';

/** An event ` (NAME)` that gives `kind`. */
export function deviceRow(name: string, kind: DeviceKind): Row {
  return row(name, [kind], (line) => ({ kind, device: line.device() }));
}

/** Kinds whose events need nothing. */
type HostKind =
  | 'vm_reset'
  | 'source_setup'
  | 'return_path_opened'
  | 'precopy_complete'
  | 'migration_cancel'
  | 'source_thread_end'
  | 'source_cleanup'
  | 'postcopy_start'
  | 'destination_setup'
  | 'destination_cleanup';

/** An event without arguments that gives `kind`. */
export function hostRow(name: string, kind: HostKind): Row {
  return row(name, [kind], () => ({ kind }));
}

const OLD_NOTIFIERS: readonly (NotifierEvent | undefined)[] = ['setup', 'done', 'failed'];
const NEW_NOTIFIERS: readonly (NotifierEvent | undefined)[] = ['setup', 'switchover', 'done', 'failed'];

/** Most devices of which flags are remembered. */
const MAX_DEVICES = 65_536;

/** What one line tells about how later lines of the same log must be read. */
export class LogMemory {
  readonly #place: LogLine;
  #newNotifiers = false;
  readonly #flags = new Map<string, number>();
  readonly #opened = new Set<string>();

  constructor(place: LogLine) {
    this.#place = place;
  }

  /** The log is of QEMU 11: notifier numbers have the switchover event in their midst. */
  isNew(): void {
    this.#newNotifiers = true;
  }

  /**
   * What a notifier number stands for, when that is certain. Up to 10.0 the numbers are setup, done,
   * failed; in 11.1 switchover came between. A time prefix with thread id was dropped before the
   * numbers changed, so it tells that they are the old ones.
   */
  notifier(number: number): NotifierEvent | undefined {
    if (number === 3) this.isNew();
    if (this.#newNotifiers) return NEW_NOTIFIERS[number];
    if (this.#place.thread !== undefined) return OLD_NOTIFIERS[number];
    return number === 0 ? 'setup' : undefined;
  }

  setFlags(device: string, flags: number): void {
    if (this.#flags.size < MAX_DEVICES) this.#flags.set(device, flags);
  }

  /** Flags of `struct vfio_device_info`, when the log showed them. */
  flags(device: string): number | undefined {
    return this.#flags.get(device);
  }

  /** The device was opened; says whether that is news. `again` is true for the second line of one opening. */
  open(device: string, again: boolean): boolean {
    if (again) return !this.#opened.delete(device);
    if (this.#opened.size < MAX_DEVICES) this.#opened.add(device);
    return true;
  }

  /** The line is of protocol v1. */
  refuse(): never {
    throw new InputError(`${this.#place.file}:${this.#place.number}: ${PROTOCOL_V1}`);
  }
}

/** Why a log of QEMU 7.2 is refused. */
export const PROTOCOL_V1 =
  'QEMU 7.2 and older speak migration protocol v1 (region based), stopcopy checks v2 (QEMU 8.0+)';
