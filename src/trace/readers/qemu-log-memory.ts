import type { NotifierEvent } from '../../uapi/qemu.js';
import { InputError } from '../reader.js';
import type { LogLine } from './qemu-log-line.js';
import { VhostNames } from './qemu-log-vhost-names.js';

const OLD_NOTIFIERS: readonly (NotifierEvent | undefined)[] = ['setup', 'done', 'failed'];
const NEW_NOTIFIERS: readonly (NotifierEvent | undefined)[] = ['setup', 'switchover', 'done', 'failed'];

/** Most devices of which something is remembered. */
const MAX_DEVICES = 8192;
/** Longest device name of which something is remembered. */
const MAX_NAME = 256;

/** Why a log of QEMU 7.2 is refused. */
export const PROTOCOL_V1 =
  'QEMU 7.2 and older speak migration protocol v1 (region based), stopcopy checks v2 (QEMU 8.0+)';

/** What one line tells about how later lines of the same log must be read. */
export class LogMemory {
  /** What the vhost back ends of the VM are called. */
  readonly vhost = new VhostNames();
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
    if (this.#flags.size < MAX_DEVICES && device.length <= MAX_NAME) this.#flags.set(device, flags);
  }

  /** Flags of `struct vfio_device_info`, when the log showed them. */
  flags(device: string): number | undefined {
    return this.#flags.get(device);
  }

  /** A device was opened, and another line of the same opening will follow. */
  opened(device: string): void {
    if (this.#opened.size < MAX_DEVICES && device.length <= MAX_NAME) this.#opened.add(device);
  }

  /** The last line of an opening; says whether there was an earlier one. */
  wasOpened(device: string): boolean {
    return this.#opened.delete(device);
  }

  /** The line is of protocol v1. */
  refuse(): never {
    throw new InputError(`${this.#place.file}:${this.#place.number}: ${PROTOCOL_V1}`);
  }
}
