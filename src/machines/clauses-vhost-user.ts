const RST = 'docs/interop/vhost-user.rst (QEMU 10.0)';

/** Clauses of vhost-user: where each stands, and what it says in our words. */
export const VHOST_USER_CLAUSES = {
  'vhost-user/message': [
    `${RST}, "Message Specification"`,
    'A message is a header of 12 bytes (request, flags with version 1, reply and need_reply, size) and a payload; each request says what its payload is and which descriptors come with it.',
  ],
  'vhost-user/replies': [
    `${RST}, "Communication"`,
    'Some requests have a reply, which names the request and carries the reply flag; there is no message id, so replies come in the order of the requests.',
  ],
  'vhost-user/reply-ack': [
    `${RST}, "VHOST_USER_PROTOCOL_F_REPLY_ACK"`,
    'With REPLY_ACK a request that has no reply of its own and carries need_reply is answered by a u64: 0, or not 0 for a failure.',
  ],
  'vhost-user/protocol-features': [
    `${RST}, "Protocol features", and GET_ and SET_PROTOCOL_FEATURES`,
    'Protocol features exist when the back end offers bit 30; their requests are legal before SET_FEATURES; what needs a protocol feature is sent only with it.',
  ],
  'vhost-user/features': [
    `${RST}, "Front-end message types", GET_FEATURES and SET_FEATURES`,
    'The front end acknowledges features out of those that the back end offers; bit 30 says that protocol features exist, and without it in SET_FEATURES all rings are enabled.',
  ],
  'vhost-user/inband': [
    `${RST}, "In-band notifications"`,
    'INBAND_NOTIFICATIONS needs BACKEND_REQ and REPLY_ACK; a front end that leaves one out is in error.',
  ],
  'vhost-user/owner': [
    `${RST}, SET_OWNER and RESET_OWNER`,
    'SET_OWNER begins a session; RESET_OWNER is deprecated: a back end ignores it, or disables all rings.',
  ],
  'vhost-user/memory': [
    `${RST}, "Memory regions description", SET_MEM_TABLE, ADD_MEM_REG and REM_MEM_REG`,
    'Guest memory comes as regions with a descriptor each; addresses of rings are translated by them.',
  ],
  'vhost-user/ring-states': [
    `${RST}, "Ring states"`,
    'A ring is started by a kick and stopped by GET_VRING_BASE; SET_VRING_ENABLE says whether it has side effects.',
  ],
  'vhost-user/ring-setup': [
    `${RST}, SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE and "Vring descriptor indices"`,
    'Size, addresses and base of a ring are set before it starts; a base is the next available index, or for packed rings both indices with their wrap counters.',
  ],
  'vhost-user/suspended': [
    `${RST}, "Suspended device state"`,
    'While all rings are stopped the device is suspended: it writes no guest memory, notifies nobody and sends no message of its own, but answers requests.',
  ],
  'vhost-user/log': [
    `${RST}, "Migration" and SET_LOG_BASE`,
    'SET_LOG_BASE gives the log, with LOG_SHMFD as a descriptor with size and offset and with a reply; LOG_ALL and the flag of SET_VRING_ADDR switch the logging of buffers and of the used ring.',
  ],
  'vhost-user/log-order': [
    'QEMU hw/virtio/vhost.c, and the purpose of a dirty log',
    'A log exists before a ring runs with LOG_ALL or with its log flag: what is written before that is marked nowhere.',
  ],
  'vhost-user/device-state': [
    `${RST}, "Migrating back-end state", SET_DEVICE_STATE_FD and CHECK_DEVICE_STATE`,
    'Internal state goes through a descriptor while all rings are stopped, one transfer at a time; CHECK_DEVICE_STATE after the end of the data says whether it succeeded.',
  ],
  'vhost-user/postcopy': [
    `${RST}, POSTCOPY_ADVISE, POSTCOPY_LISTEN and POSTCOPY_END`,
    'Post-copy is advised, then listened for, then ended, in this order.',
  ],
  'vhost-user/iotlb': [
    `${RST}, "IOMMU support" and IOTLB_MSG`,
    'IOTLB messages are for front ends that have negotiated VIRTIO_F_ACCESS_PLATFORM.',
  ],
  'vhost-user/inflight': [
    `${RST}, "Inflight I/O tracking"`,
    'The region that records requests in flight comes from GET_INFLIGHT_FD and is given back by SET_INFLIGHT_FD, after a reconnection too; suspending with requests in flight needs it.',
  ],
  'vhost-user/config': [
    `${RST}, "Virtio device config space"`,
    'The flag of SET_CONFIG says that a write belongs to migration, when fields that are read-only for the driver may change.',
  ],
  'vhost-user/rarp': [
    `${RST}, SEND_RARP`,
    'The front end asks for a RARP after a migration, for guests that cannot announce themselves; the back end has to offer RARP.',
  ],
  'vhost-user/connection': [
    `${RST}, "Error handling" and "Reconnection"`,
    'A connection may be lost at any time; the device has no back end until a new one is connected.',
  ],
} as const satisfies Record<string, readonly [string, string]>;
