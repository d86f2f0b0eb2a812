import type { TraceEvent } from '../../trace/event.js';
import { ERRNO } from '../../uapi/errno.js';
import { VHOST_BACKEND_FEATURES } from '../../uapi/vhost.js';
import { featureBits, VIRTIO_FEATURES, VIRTIO_NET_CTRL, VIRTIO_STATUS } from '../../uapi/virtio.js';

/** What a recording would hold of the steps of a VMM that drives a vDPA device. */

/** The host of every event. */
export const host = 'src';
const on = { host, device: 'net0' } as const;
const via = { ...on, interface: 'vdpa', errno: 0 } as const;
const { ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK } = VIRTIO_STATUS;
const hex = (bits: bigint): string => `0x${bits.toString(16)}`;

const status = (value: number): TraceEvent => ({ kind: 'vdpa_status', ...on, status: value, errno: 0 });

export const opened: readonly TraceEvent[] = [
  { kind: 'vhost_open', ...on, interface: 'vdpa' },
  {
    kind: 'vhost_set_backend_features',
    ...via,
    features: hex(featureBits(VHOST_BACKEND_FEATURES.SUSPEND, VHOST_BACKEND_FEATURES.ENABLE_AFTER_DRIVER_OK)),
  },
];

/** From reset to FEATURES_OK. */
export const negotiated: readonly TraceEvent[] = [
  status(ACKNOWLEDGE | DRIVER),
  {
    kind: 'vhost_set_features',
    ...via,
    features: hex(featureBits(VIRTIO_FEATURES.VERSION_1, VIRTIO_FEATURES.ACCESS_PLATFORM)),
  },
  status(ACKNOWLEDGE | DRIVER | FEATURES_OK),
];

export const driverOk: TraceEvent = status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
export const reset: TraceEvent = status(0);
export const suspended: TraceEvent = { kind: 'vdpa_suspend', ...on, errno: 0 };

/** @param shadow undefined for the control queue, which is the VMM's at all times */
export function ringSetUp(index: number, shadow?: boolean): readonly TraceEvent[] {
  return [
    { kind: 'vring_num', ...via, index },
    { kind: 'vring_base', ...via, index, ...(shadow === undefined ? {} : { shadow }) },
    { kind: 'vring_addr', ...via, index },
  ];
}

/** A shadow ring is set up while the device works, which the kernel refuses. */
export function ringRefused(index: number): readonly TraceEvent[] {
  const refused = { ...via, index, errno: ERRNO.EINVAL! };
  return [
    { kind: 'vring_base', ...refused, shadow: true },
    { kind: 'vring_addr', ...refused },
  ];
}

export const ringEnabled = (index: number): TraceEvent => ({ kind: 'vring_enable', ...via, index, on: true });

export const baseRead = (index: number, shadow: boolean): TraceEvent => ({
  kind: 'vring_base_read',
  ...via,
  index,
  ...(shadow ? { shadow } : {}),
});

export const command = (ok: boolean): TraceEvent => ({
  kind: 'vdpa_cvq_command',
  ...on,
  class: VIRTIO_NET_CTRL.MAC.class,
  command: VIRTIO_NET_CTRL.MAC.ADDR_SET,
  ok,
});

/** The device has written a buffer of a ring, each in a page of its own. */
export const written = (index: number): TraceEvent => ({
  kind: 'vhost_write',
  ...on,
  index,
  what: 'buffer',
  address: 4096 * (16 + index),
  length: 64,
});

export const startOf = (begin: boolean): TraceEvent => ({ kind: 'vhost_dev_start', ...on, begin });
export const stopOf = (begin: boolean): TraceEvent => ({ kind: 'vhost_dev_stop', ...on, begin });
