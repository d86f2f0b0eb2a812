const VHOST = 'drivers/vhost/vhost.c (Linux 7.2)';
const NET = 'drivers/vhost/net.c (Linux 7.2)';
const QEMU = 'QEMU hw/virtio/vhost.c';

/** Clauses of kernel vhost and its dirty log: where each stands, and what it says in our words. */
export const VHOST_CLAUSES = {
  'vhost/owner': [
    `${VHOST}, vhost_dev_ioctl() and vhost_dev_check_owner()`,
    'SET_OWNER comes first: without it every request but those about features gives EPERM, and a second one gives EBUSY.',
  ],
  'vhost/features': [
    `${NET}, vhost_net_set_features()`,
    'Any subset of the offered features is taken, also while rings run; a bit that is not offered gives EOPNOTSUPP.',
  ],
  'vhost/memory': [
    `${VHOST}, vhost_set_memory()`,
    'SET_MEM_TABLE gives the guest physical addresses of descriptors and where they are in user space; no ring can work without it.',
  ],
  'vhost/vring-num': [
    `${VHOST}, vhost_vring_set_num()`,
    'SET_VRING_NUM takes a power of two from 1 to 0x8000, and gives EBUSY while the ring has a backend.',
  ],
  'vhost/vring-base': [
    `${VHOST}, vhost_vring_ioctl()`,
    'SET_VRING_BASE gives EBUSY while the ring has a backend; of a split ring only values to 0xffff are taken. GET_VRING_BASE reads, and does not stop the ring.',
  ],
  'vhost/vring-addr': [
    `${VHOST}, vhost_vring_set_addr()`,
    'SET_VRING_ADDR wants the used part and log_guest_addr aligned to 4 bytes and the available part to 2, else EINVAL. It is taken while the ring runs: so the log flag is switched.',
  ],
  'vhost/backend': [
    `${NET}, vhost_net_set_backend()`,
    'A ring works from VHOST_NET_SET_BACKEND with a descriptor to the one with -1, which waits for what is under way.',
  ],
  'vhost/log-base': [
    `${VHOST}, VHOST_SET_LOG_BASE`,
    'The log is an address without a size. It may be replaced at run time: marks of later writes go into the new one.',
  ],
  'vhost/log-all': [
    `${VHOST}, vhost_log_write()`,
    "With VHOST_F_LOG_ALL each page of a buffer that was written gets its bit, by the written length and the descriptor's guest physical address.",
  ],
  'vhost/log-used': [
    `${VHOST}, log_used()`,
    'With VHOST_VRING_F_LOG of its ring each write to the used part (elements, index, flags, avail event) gets its bit, by log_guest_addr. Neither switch implies the other.',
  ],
  'vhost/log-bit': [
    `${VHOST}, log_write()`,
    'The pages of a write are those of its first to its last byte, of 4096 bytes each, counted from guest physical address 0.',
  ],
  'vhost/log-iotlb': [
    `${VHOST}, log_write_hva()`,
    'With an IOTLB a write is mapped back to guest physical addresses by the memory table, and every address that the memory has is marked.',
  ],
  'vhost/log-size': [
    'QEMU docs/interop/vhost-user.rst, "Migration"',
    'The log covers guest physical addresses from 0 to the highest one of memory and used rings; nothing is marked outside of it.',
  ],
  'vhost/log-stopped': [
    'QEMU docs/interop/vhost-user.rst, "Migration"',
    'Once the rings of the source have stopped, the back end writes and marks nothing until it is started again.',
  ],
  'vhost/dirty-law': [
    'what a dirty log is for',
    'A page that was written while logging was on is in a reading of the log at or after the write, at the latest in the one after the rings have stopped. A page too many costs time, a page too few is corruption.',
  ],
  'vhost/log-start': [
    `${QEMU}, vhost_migration_log() and vhost_dev_start()`,
    'Of a device that runs: SET_LOG_BASE, SET_FEATURES with LOG_ALL, SET_VRING_ADDR with the log flag. Of one that is started while a migration runs: features and rings first, SET_LOG_BASE last.',
  ],
  'vhost/log-stop': [
    `${QEMU}, vhost_migration_log()`,
    'After a migration that failed or was cancelled: SET_FEATURES without LOG_ALL, SET_VRING_ADDR without the log flag, then the log is freed.',
  ],
  'vhost/log-resize': [
    `${QEMU}, vhost_commit()`,
    'The log grows before the memory table does, and shrinks after it.',
  ],
  'vhost/log-harvest': [
    `${QEMU}, vhost_log_put() and vhost_dev_log_resize()`,
    'The log is read after the last ring has stopped, and the old one after it was replaced.',
  ],
  'vhost/start': [
    `${QEMU}, vhost_dev_start(); hw/net/vhost_net.c`,
    'Features, memory table, then each ring with size, base, addresses and kick descriptor, and its backend last. On the way down the backend goes first, then the base is read.',
  ],
} as const satisfies Record<string, readonly [string, string]>;
