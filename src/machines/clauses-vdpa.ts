/** Clauses of vhost-vdpa and shadow virtqueues: where each stands, and what it says in our words. */
export const VDPA_CLAUSES = {
  'vdpa/status': [
    'drivers/vhost/vdpa.c (Linux 7.2), VHOST_VDPA_SET_STATUS',
    'Status bits are only added; only 0, a reset, takes them away.',
  ],
  'vdpa/reset': [
    'drivers/vhost/vdpa.c (Linux 7.2), VHOST_VDPA_SET_STATUS with 0; VIRTIO 1.3, 2.4',
    'A reset takes back all that was set up: status, features, rings, and a suspend.',
  ],
  'vdpa/features': [
    'drivers/vhost/vdpa.c (Linux 7.2), VHOST_SET_FEATURES',
    'Features are set before FEATURES_OK; after it: EBUSY.',
  ],
  'vdpa/offered': ['VIRTIO 1.3, 2.2.1', 'A driver accepts no feature that the device has not offered.'],
  'vdpa/before-driver-ok': [
    'VIRTIO 1.3, 2.1.2 and 3.1.1',
    'A device consumes no buffers before DRIVER_OK; the driver sets up its queues before it.',
  ],
  'vdpa/vring-num': [
    'drivers/vhost/vdpa.c (Linux 7.2), VHOST_SET_VRING_NUM',
    'The size of a ring is a power of two.',
  ],
  'vdpa/vring-change': [
    'drivers/vhost/vdpa.c (Linux 7.2), VHOST_SET_VRING_ADDR and VHOST_SET_VRING_BASE',
    'With DRIVER_OK, addresses and index of a ring change only while the device is suspended.',
  ],
  'vdpa/vring-enable': [
    'include/uapi/linux/vhost_types.h (Linux 7.2), VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK',
    'To enable a ring after DRIVER_OK is for devices with this backend feature. A ring that is not enabled is not processed.',
  ],
  'vdpa/vring-base': [
    'drivers/vhost/vdpa.c (Linux 7.2), VHOST_GET_VRING_BASE; include/linux/vdpa.h, get_vq_state',
    'Gives where the device stands on a ring; it stands still only when suspended.',
  ],
  'vdpa/group-asid': [
    'drivers/vhost/vdpa.c (Linux 7.2), VHOST_VDPA_SET_GROUP_ASID',
    'The address space of a group of rings is chosen before DRIVER_OK.',
  ],
  'vdpa/suspend': [
    'include/uapi/linux/vhost.h (Linux 7.2), VHOST_VDPA_SUSPEND',
    'When it has returned, no ring is processed, and all that is needed to go on or to be read out is kept. Without DRIVER_OK it does nothing.',
  ],
  'vdpa/resume': [
    'include/uapi/linux/vhost.h (Linux 7.2), VHOST_VDPA_RESUME',
    'The device goes on where it was suspended.',
  ],
  'vdpa/backend-features': [
    'drivers/vhost/vdpa.c (Linux 7.2), VHOST_SET_BACKEND_FEATURES',
    'Only features that stand for something the device can do; DESC_ASID only with IOTLB_ASID.',
  ],
  'vdpa/no-log': [
    'drivers/vhost/vdpa.c (Linux 7.2)',
    'vhost-vdpa has no dirty log: SET_LOG_BASE is refused. Whoever migrates such a device sees its writes by shadow virtqueues.',
  ],
  'vdpa/iotlb': [
    'drivers/vhost/vdpa.c (Linux 7.2), vhost_vdpa_process_iotlb_update',
    'A mapping has a size, and none lies where another one is.',
  ],
  'svq/setup': [
    'net/vhost-vdpa.c, hw/virtio/vhost-vdpa.c (QEMU 10.0)',
    'At the set-up of a migration the device is stopped, its indices are read, it is reset, and it starts again with rings of the VMM.',
  ],
  'svq/base': [
    'hw/virtio/vhost-vdpa.c (QEMU 10.0), vhost_vdpa_svq_setup',
    'Rings of the VMM are new: the device starts on them at 0. The index of the guest stays with the VMM.',
  ],
  'svq/off': [
    'net/vhost-vdpa.c (QEMU 10.0), vdpa_net_migration_state_notifier',
    "After a migration that failed or was cancelled, the device goes back to the guest's own rings.",
  ],
  'svq/cvq': [
    'net/vhost-vdpa.c (QEMU 10.0), vhost_vdpa_net_cvq_load',
    'What the guest had set by the control queue is set again before the data rings are enabled; a command that is refused fails the start.',
  ],
  'svq/index': [
    'VIRTIO 1.3, 2.7; hw/virtio/vhost-shadow-virtqueue.c (QEMU 10.0)',
    'A ring goes on at the index at which it was stopped: no buffer is skipped, and none is taken twice.',
  ],
} as const satisfies Record<string, readonly [string, string]>;
