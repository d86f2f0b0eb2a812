/**
 * The E810 VF as its driver sees it: PCI identity, registers of BAR 0, mailbox descriptors, and the
 * descriptors of Tx and Rx rings. Everything is little endian.
 *
 * Source: `iavf_register.h`, `iavf_adminq_cmd.h`, `iavf_txrx.h` and `iavf_type.h` of Linux 7.2. What is from
 * memory says so.
 */
import { struct } from './struct.js';

/** Adaptive Virtual Function. */
export const E810_PCI_ID = { vendor: 0x8086, device: 0x1889 } as const;
/** Other device numbers that iavf binds: 700 series, Hyper-V, X722. */
export const IAVF_OTHER_DEVICES: readonly number[] = [0x154c, 0x1571, 0x37cd];

/** Registers of BAR 0 that there are once, as byte offsets. The names are those of the headers. */
export const E810_VF_REGISTERS = {
  VFINT_ICR01: 0x4800,
  VFINT_ICR0_ENA1: 0x5000,
  VFINT_DYN_CTL01: 0x5c00,
  VF_ARQBAH1: 0x6000,
  VF_ATQH1: 0x6400,
  VF_ATQLEN1: 0x6800,
  VF_ARQBAL1: 0x6c00,
  VF_ARQT1: 0x7000,
  VF_ARQH1: 0x7400,
  VF_ATQBAH1: 0x7800,
  VF_ATQBAL1: 0x7c00,
  VF_ARQLEN1: 0x8000,
  VF_ATQT1: 0x8400,
  VFGEN_RSTAT: 0x8800,
} as const;

/** An array of registers: element `i` at `offset + i * stride`. */
const array = (offset: number, count: number, stride = 4) => ({ offset, count, stride }) as const;

/**
 * Register arrays of BAR 0. `VFINT_ITRN1` has a second index, the queue vector, by 4 bytes. The RSS arrays
 * are for the register mode of RSS, which E810 does not offer.
 */
export const E810_VF_REGISTER_ARRAYS = {
  QTX_TAIL1: array(0x0000, 16),
  QRX_TAIL1: array(0x2000, 16),
  VFINT_ITRN1: { ...array(0x2800, 3, 64), vectors: 16 },
  VFINT_DYN_CTLN1: array(0x3800, 64),
  VFINT_ITR01: array(0x4c00, 3),
  VFQF_HENA: array(0xc400, 2),
  VFQF_HKEY: array(0xcc00, 13),
  VFQF_HLUT: array(0xd000, 16),
} as const;

/** What an offset without a register reads as; from memory. */
export const E810_NO_REGISTER = 0xdeadbeef;

/** VFINT_DYN_CTL*: control of one interrupt. INTERVAL is in units of 2 us, from memory. */
export const VFINT_DYN_CTL = {
  INTENA: 2 ** 0,
  CLEARPBA: 2 ** 1,
  SWINT_TRIG: 2 ** 2,
  ITR_INDX_SHIFT: 3,
  ITR_INDX_MASK: 3,
  /** ITR index that leaves all ITR registers alone. */
  ITR_NONE: 3,
  INTERVAL_SHIFT: 5,
  INTERVAL_MASK: 0xfff,
  SW_ITR_INDX_ENA: 2 ** 24,
  WB_ON_ITR: 2 ** 30,
} as const;

/** VFINT_ICR01 and VFINT_ICR0_ENA1: cause of the mailbox's vector. */
export const VFINT_ICR0_ADMINQ = 2 ** 30;

/** VF_ATQLEN1 and VF_ARQLEN1. */
export const VF_MAILBOX_LEN = {
  LEN_MASK: 0x3ff,
  VFE: 2 ** 28,
  OVFL: 2 ** 29,
  CRIT: 2 ** 30,
  ENABLE: 2 ** 31,
} as const;
/** Index bits of the head and tail registers of the mailbox. */
export const VF_MAILBOX_INDEX_MASK = 0x3ff;
/** Index bits of the tail registers of Tx and Rx queues. */
export const E810_TAIL_MASK = 0x1fff;

/** VFGEN_RSTAT. */
export const VFGEN_RSTAT = { IN_PROGRESS: 0, COMPLETED: 1, VF_ACTIVE: 2, MASK: 3 } as const;

/** Mailbox descriptor, `struct iavf_aq_desc` with its generic parameters. */
export const E810MailboxDescriptor = struct('iavf_aq_desc', {
  flags: 'u16',
  opcode: 'u16',
  datalen: 'u16',
  retval: 'u16',
  /** virtchnl operation. */
  cookie_high: 'u32',
  /** virtchnl status, from PF to VF. */
  cookie_low: 'u32',
  param0: 'u32',
  param1: 'u32',
  addr_high: 'u32',
  addr_low: 'u32',
});

/** Flags of a mailbox descriptor. */
export const E810_MAILBOX_FLAGS = {
  DD: 2 ** 0,
  CMP: 2 ** 1,
  ERR: 2 ** 2,
  VFE: 2 ** 3,
  LB: 2 ** 9,
  RD: 2 ** 10,
  VFC: 2 ** 11,
  BUF: 2 ** 12,
  SI: 2 ** 13,
  EI: 2 ** 14,
  FE: 2 ** 15,
} as const;

/** Opcodes of a mailbox descriptor. */
export const E810_MAILBOX_OPCODE = { SEND_MSG_TO_PF: 0x0801, SEND_MSG_TO_VF: 0x0802 } as const;

/** `retval` of a descriptor with ERR; numbers from memory. */
export const E810_MAILBOX_RETVAL = { OK: 0, E2BIG: 7, EFAULT: 11, EINVAL: 14 } as const;

/** Bounds of the mailbox's queues and buffers. */
export const E810_MAILBOX_LIMITS = {
  /** Descriptors and bytes of a buffer, as iavf has them. */
  usualLength: 32,
  bufferBytes: 4096,
  /** Longer buffers need LB. */
  smallBuffer: 512,
} as const;

/** Tx descriptor: address, and a word of type, commands and sizes. */
export const E810TxDescriptor = struct('iavf_tx_desc', { buffer_addr: 'u64', cmd_type_offset_bsz: 'u64' });

/** `cmd_type_offset_bsz`. The number of DONE is from memory. */
export const E810_TX = {
  DTYPE_MASK: 0xfn,
  DTYPE: { DATA: 0, CONTEXT: 1, DONE: 0xf },
  CMD_SHIFT: 4n,
  CMD: { EOP: 0x1, RS: 0x2, IL2TAG1: 0x8, DUMMY: 0x10 },
  BUFFER_SIZE_SHIFT: 34n,
  BUFFER_SIZE_MASK: 0x3fffn,
  L2TAG1_SHIFT: 48n,
} as const;

/** Rx descriptor as the driver posts it; the device writes the 32 bytes anew. */
export const E810RxDescriptor = struct('iavf_rx_desc_read', {
  pkt_addr: 'u64',
  hdr_addr: 'u64',
  rsvd1: 'u64',
  rsvd2: 'u64',
});

/** Written back with RXDID 1: the low 32 bits of qword 1 have `DD` and the rest, the length is above. */
export const E810RxLegacyWriteback = struct('iavf_rx_desc_wb', {
  mirroring_status: 'u16',
  l2tag1: 'u16',
  rss: 'u32',
  status_error_len: 'u64',
  ext_status: 'u16',
  rsvd: 'u16',
  l2tag2_1: 'u16',
  l2tag2_2: 'u16',
  rsvd2: 'u64',
});

/** Bits of `status_error_len`. */
export const E810_RX_LEGACY = {
  DD: 2 ** 0,
  EOF: 2 ** 1,
  L2TAG1P: 2 ** 2,
  /** FLTSTAT 3: `rss` holds a hash. */
  FLTSTAT_RSS_HASH: 3 * 2 ** 12,
  PTYPE_SHIFT: 30n,
  PTYPE_MASK: 0xffn,
  LENGTH_SHIFT: 38n,
  LENGTH_MASK: 0x3fffn,
} as const;

/** Written back with RXDID 2, `struct ice_32b_rx_flex_desc_nic`. Layout and bits are from memory. */
export const E810RxFlexWriteback = struct('ice_32b_rx_flex_desc_nic', {
  rxdid: 'u8',
  mir_id_umb_cast: 'u8',
  ptype_flexi_flags0: 'u16',
  pkt_len: 'u16',
  hdr_len_sph_flex_flags1: 'u16',
  status_error0: 'u16',
  l2tag1: 'u16',
  rss_hash: 'u32',
  status_error1: 'u16',
  flexi_flags2: 'u8',
  ts_low: 'u8',
  l2tag2_1st: 'u16',
  l2tag2_2nd: 'u16',
  flow_id: 'u32',
  ts_high: 'u32',
});

/** Bits of the fields above; from memory. */
export const E810_RX_FLEX = {
  PTYPE_MASK: 0x3ff,
  LENGTH_MASK: 0x3fff,
  STATUS0: { DD: 2 ** 0, EOF: 2 ** 1, RSS_VALID: 2 ** 12, L2TAG1P: 2 ** 13 },
} as const;

/** Packet types of a receive descriptor that plain traffic has; numbers from memory. */
export const E810_PTYPE = {
  L2: 1,
  IPV4_FRAGMENT: 22,
  IPV4: 23,
  IPV4_UDP: 24,
  IPV4_TCP: 26,
  IPV4_SCTP: 27,
  IPV6_FRAGMENT: 88,
  IPV6: 89,
  IPV6_UDP: 90,
  IPV6_TCP: 92,
  IPV6_SCTP: 93,
} as const;

/** Most buffers that a received frame can fill. Source: `ICE_MAX_CHAINED_RX_BUFS`. */
export const E810_RX_CHAIN = 5;
/** The device knows the size of receive buffers in these units of bytes. */
export const E810_RX_BUFFER_UNIT = 128;
