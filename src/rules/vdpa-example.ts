import type { TraceEvent } from '../trace/event.js';
import { ERRNO } from '../uapi/errno.js';
import { VHOST_BACKEND_FEATURES } from '../uapi/vhost.js';
import { featureBits, VIRTIO_FEATURES, VIRTIO_STATUS } from '../uapi/virtio.js';
import { device, vmm } from './example.js';

/** Short words for the examples of rules about vDPA devices. */

const via = { interface: 'vdpa' } as const;
const { ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK } = VIRTIO_STATUS;

/** The statuses of a start, one after the other. */
export const STATUS = {
  reset: 0,
  acknowledge: ACKNOWLEDGE,
  driver: ACKNOWLEDGE | DRIVER,
  featuresOk: ACKNOWLEDGE | DRIVER | FEATURES_OK,
  driverOk: ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK,
} as const;

const word = (...bits: number[]) => `0x${featureBits(...bits).toString(16)}`;
export const NET_FEATURES = word(VIRTIO_FEATURES.VERSION_1, VIRTIO_FEATURES.ACCESS_PLATFORM);
export const backendFeatures = (...names: (keyof typeof VHOST_BACKEND_FEATURES)[]): string =>
  word(...names.map((name) => VHOST_BACKEND_FEATURES[name]));

/** The vDPA device of the examples: calls that succeed, unless an errno is given. */
export function vdpaExample(id = 'vdpa0', host = 'source') {
  const d = device(id, host);
  const errnoOf = (name?: string) => ({ errno: name === undefined ? 0 : ERRNO[name]! });
  const words = {
    event: d.event,
    open: (): TraceEvent => d.event('vhost_open', via),
    status: (status: number, errno?: string): TraceEvent =>
      d.event('vdpa_status', { status, ...errnoOf(errno) }),
    features: (features: string = NET_FEATURES, errno?: string): TraceEvent =>
      d.event('vhost_set_features', { ...via, features, ...errnoOf(errno) }),
    backend: (features: string, errno?: string): TraceEvent =>
      d.event('vhost_set_backend_features', { ...via, features, ...errnoOf(errno) }),
    num: (index: number, num: number, errno?: string): TraceEvent =>
      d.event('vring_num', { ...via, index, num, ...errnoOf(errno) }),
    base: (index: number, num: number, shadow = false, errno?: string): TraceEvent =>
      d.event('vring_base', { ...via, index, num, shadow, ...errnoOf(errno) }),
    baseRead: (index: number, num: number, shadow = false): TraceEvent =>
      d.event('vring_base_read', { ...via, index, num, shadow, errno: 0 }),
    addr: (index: number, errno?: string): TraceEvent =>
      d.event('vring_addr', { ...via, index, ...errnoOf(errno) }),
    enable: (index: number, on = true): TraceEvent =>
      d.event('vring_enable', { ...via, index, on, errno: 0 }),
    suspend: (errno?: string): TraceEvent => d.event('vdpa_suspend', errnoOf(errno)),
    resume: (errno?: string): TraceEvent => d.event('vdpa_resume', errnoOf(errno)),
    asid: (group: number, asid: number, errno?: string): TraceEvent =>
      d.event('vdpa_group_asid', { group, asid, ...errnoOf(errno) }),
    write: (index?: number): TraceEvent =>
      d.event('vhost_write', {
        what: 'buffer',
        address: 0x5000,
        length: 64,
        ...(index === undefined ? {} : { index }),
      }),
    progress: (index: number, avail: number, used: number): TraceEvent =>
      d.event('vring_progress', { index, avail, used }),
    cvq: (ok?: boolean): TraceEvent =>
      d.event('vdpa_cvq_command', { class: 1, command: 1, ...(ok === undefined ? {} : { ok }) }),
    stop: (begin: boolean): TraceEvent => d.event('vhost_dev_stop', { begin }),
    started: (): TraceEvent => d.event('vhost_dev_start', { begin: false }),
    /** Status and features up to FEATURES_OK. */
    negotiate: (): TraceEvent[] => [
      words.status(STATUS.driver),
      words.features(),
      words.status(STATUS.featuresOk),
    ],
    /** A start from reset to DRIVER_OK with two rings, of the guest or of the VMM. */
    start: (shadow = false, base = 0): TraceEvent[] => [
      ...words.negotiate(),
      ...[0, 1].flatMap((index) => [
        words.num(index, 256),
        words.base(index, base, shadow),
        words.addr(index),
        words.enable(index),
      ]),
      words.status(STATUS.driverOk),
      words.started(),
    ],
    /** Suspended, read out and reset. */
    halt: (shadow = false, base = 0): TraceEvent[] => [
      words.stop(true),
      words.suspend(),
      ...[0, 1].map((index) => words.baseRead(index, base, shadow)),
      words.status(STATUS.reset),
      words.stop(false),
    ],
  };
  return words;
}

/** Statuses of a migration that ends without success. */
export const MIGRATION_NOT_DONE: ReadonlySet<string> = new Set([
  'failing',
  'failed',
  'cancelling',
  'cancelled',
]);

const d = vdpaExample();
const v = vmm();
/** A device that works, and a migration of which the set-up has switched it to shadow virtqueues. */
export const switched: readonly TraceEvent[] = [
  d.open(),
  ...d.start(),
  v.status('setup'),
  ...d.halt(),
  ...d.start(true),
  v.status('active'),
];
