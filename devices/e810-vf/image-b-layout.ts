import { type LayoutField, layoutSize } from './layout.js';

/**
 * Generation B (the RFC of 2025): the records of the image. A record is type u16, length u16, data; the length
 * is that of the data with zeros behind it up to a multiple of 4. HEADER comes first, END last; all others are
 * applied in the order in which they come, but VF_INFO before them. Type numbers are fixed for ever.
 *
 * Bit-fields are read with the lowest bit first, as compilers for little-endian machines lay them out; that
 * order is `concluded`.
 */
const read = { certainty: 'read' } as const;
const bits = { type: 'u8', certainty: 'concluded' } as const;

const HEADER_FIELDS = [
  { name: 'magic', offset: 0, type: 'u32', hex: true, meaning: '0xE8000001, as generation A', ...read },
  { name: 'version', offset: 4, type: 'u16', meaning: '1, as generation A', ...read },
  {
    name: 'num_supported_tlvs',
    offset: 6,
    type: 'u16',
    meaning: 'the first type that the sender does not know',
    ...read,
  },
] as const satisfies readonly LayoutField[];

const VF_INFO_FIELDS = [
  { name: 'dev_lan_addr', offset: 0, type: 'mac', meaning: 'MAC that the guest uses', ...read },
  { name: 'hw_lan_addr', offset: 6, type: 'mac', meaning: 'MAC that the host gave', ...read },
  {
    name: 'driver_caps',
    offset: 12,
    type: 'u32',
    hex: true,
    meaning: 'negotiated driver capabilities',
    ...read,
  },
  {
    name: 'vlan_v2_caps',
    offset: 16,
    type: 'bytes',
    dims: [40],
    meaning: 'VLAN V2 capabilities, as virtchnl lays them out',
    ...read,
  },
  { name: 'vf_ver_major', offset: 56, type: 'u32', meaning: 'virtchnl version of the guest', ...read },
  { name: 'vf_ver_minor', offset: 60, type: 'u32', meaning: 'virtchnl version of the guest', ...read },
  { name: 'min_tx_rate', offset: 64, type: 'u32', meaning: 'set by the host', ...read },
  { name: 'max_tx_rate', offset: 68, type: 'u32', meaning: 'set by the host', ...read },
  { name: 'virtchnl_op_max', offset: 72, type: 'u32', meaning: 'bits of the allowlist', ...read },
  { name: 'num_vf_qs', offset: 76, type: 'u16', meaning: 'queue pairs', ...read },
  { name: 'num_msix', offset: 78, type: 'u16', meaning: 'vectors, the mailbox vector included', ...read },
  { name: 'port_vlan_tpid', offset: 80, type: 'u16', hex: true, meaning: 'set by the host', ...read },
  { name: 'port_vlan_vid', offset: 82, type: 'u16', meaning: 'set by the host', ...read },
  { name: 'port_vlan_prio', offset: 84, type: 'u8', meaning: 'set by the host', ...read },
  {
    name: 'flags',
    offset: 85,
    bits: [
      'inner_strip',
      'outer_strip',
      'pf_set_mac',
      'trusted',
      'spoofchk',
      'driver_active',
      'link_forced',
      'link_up',
    ],
    meaning: 'VLAN stripping, host settings, link',
    ...bits,
  },
] as const satisfies readonly LayoutField[];

const TX_QUEUE_FIELDS = [
  { name: 'dma', offset: 0, type: 'u64', hex: true, meaning: 'address of the ring', ...read },
  { name: 'count', offset: 8, type: 'u16', meaning: 'descriptors', ...read },
  { name: 'head', offset: 10, type: 'u16', meaning: 'next descriptor that the hardware will use', ...read },
  { name: 'queue_id', offset: 12, type: 'u16', meaning: 'queue of the VF', ...read },
  { name: 'vector_id', offset: 14, type: 'u16', meaning: 'vector, if vector_valid', ...read },
  { name: 'flags', offset: 16, bits: ['vector_valid', 'ena'], meaning: 'the other bits must be 0', ...bits },
] as const satisfies readonly LayoutField[];

const RX_QUEUE_FIELDS = [
  { name: 'dma', offset: 0, type: 'u64', hex: true, meaning: 'address of the ring', ...read },
  { name: 'max_frame', offset: 8, type: 'u16', meaning: 'largest frame', ...read },
  { name: 'rx_buf_len', offset: 10, type: 'u16', meaning: 'bytes of a buffer', ...read },
  { name: 'rxdid', offset: 12, type: 'u32', meaning: 'descriptor format', ...read },
  { name: 'count', offset: 16, type: 'u16', meaning: 'descriptors', ...read },
  { name: 'head', offset: 18, type: 'u16', meaning: 'next descriptor that the hardware will use', ...read },
  {
    name: 'tail',
    offset: 20,
    type: 'u16',
    meaning: 'tail register; as published, the offset of it',
    ...read,
  },
  { name: 'queue_id', offset: 22, type: 'u16', meaning: 'queue of the VF', ...read },
  { name: 'vector_id', offset: 24, type: 'u16', meaning: 'vector, if vector_valid', ...read },
  {
    name: 'flags',
    offset: 26,
    bits: ['vector_valid', 'crc_strip', 'ena'],
    meaning: 'the other bits must be 0',
    ...bits,
  },
] as const satisfies readonly LayoutField[];

const MSIX_REGS_FIELDS = [
  { name: 'int_dyn_ctl', offset: 0, type: 'u32', hex: true, meaning: 'interrupt control', ...read },
  {
    name: 'int_intr',
    offset: 4,
    type: 'u32',
    dims: [4],
    hex: true,
    meaning: 'interrupt throttling by ITR index',
    ...read,
  },
  { name: 'tx_itr_idx', offset: 20, type: 'u16', meaning: 'ITR index of Tx', ...read },
  { name: 'rx_itr_idx', offset: 22, type: 'u16', meaning: 'ITR index of Rx', ...read },
  { name: 'vector_id', offset: 24, type: 'u16', meaning: 'vector, 0 is the mailbox', ...read },
] as const satisfies readonly LayoutField[];

const MBX_REGS_FIELDS = [
  { name: 'atq_head', offset: 0, type: 'u32', meaning: 'VF to PF mailbox, head', ...read },
  { name: 'atq_tail', offset: 4, type: 'u32', meaning: 'VF to PF mailbox, tail', ...read },
  { name: 'atq_bal', offset: 8, type: 'u32', hex: true, meaning: 'VF to PF mailbox, base low', ...read },
  { name: 'atq_bah', offset: 12, type: 'u32', hex: true, meaning: 'VF to PF mailbox, base high', ...read },
  {
    name: 'atq_len',
    offset: 16,
    type: 'u32',
    hex: true,
    meaning: 'VF to PF mailbox, length and ENABLE',
    ...read,
  },
  { name: 'arq_head', offset: 20, type: 'u32', meaning: 'PF to VF mailbox, head', ...read },
  { name: 'arq_tail', offset: 24, type: 'u32', meaning: 'PF to VF mailbox, tail', ...read },
  { name: 'arq_bal', offset: 28, type: 'u32', hex: true, meaning: 'PF to VF mailbox, base low', ...read },
  { name: 'arq_bah', offset: 32, type: 'u32', hex: true, meaning: 'PF to VF mailbox, base high', ...read },
  {
    name: 'arq_len',
    offset: 36,
    type: 'u32',
    hex: true,
    meaning: 'PF to VF mailbox, length and ENABLE',
    ...read,
  },
] as const satisfies readonly LayoutField[];

const counter = { type: 'u64', meaning: 'counter of the guest', ...read } as const;
const STATS_FIELDS = [
  { name: 'rx_bytes', offset: 0, ...counter },
  { name: 'rx_unicast', offset: 8, ...counter },
  { name: 'rx_multicast', offset: 16, ...counter },
  { name: 'rx_broadcast', offset: 24, ...counter },
  { name: 'rx_discards', offset: 32, ...counter },
  { name: 'rx_unknown_protocol', offset: 40, ...counter },
  { name: 'tx_bytes', offset: 48, ...counter },
  { name: 'tx_unicast', offset: 56, ...counter },
  { name: 'tx_multicast', offset: 64, ...counter },
  { name: 'tx_broadcast', offset: 72, ...counter },
  { name: 'tx_discards', offset: 80, ...counter },
  { name: 'tx_errors', offset: 88, ...counter },
] as const satisfies readonly LayoutField[];

const RSS_FIELDS = [
  { name: 'hashcfg', offset: 0, type: 'u64', hex: true, meaning: 'packet types that are hashed', ...read },
  {
    name: 'key',
    offset: 8,
    type: 'bytes',
    dims: [52],
    meaning: '40 bytes of key and 12 of its extension',
    ...read,
  },
  { name: 'lut_size', offset: 60, type: 'u16', meaning: 'entries of the look-up table; 64', ...read },
  { name: 'hfunc', offset: 62, type: 'u8', meaning: 'hash function', ...read },
] as const satisfies readonly LayoutField[];

const VLAN_FILTERS_FIELDS = [
  { name: 'num_vlans', offset: 0, type: 'u16', meaning: 'filters that follow', ...read },
] as const satisfies readonly LayoutField[];

const MAC_FILTERS_FIELDS = [
  { name: 'num_macs', offset: 0, type: 'u16', meaning: 'filters that follow', ...read },
] as const satisfies readonly LayoutField[];

/** What follows the fields of a record without a gap. */
export interface RecordTail {
  readonly name: string;
  /** The field that says how many elements there are. */
  readonly countedBy: string;
  /** How many of the count one element stands for: 32 for the words of a bitmap. */
  readonly per: number;
  readonly element: readonly LayoutField[];
}

/** A type of record. */
export interface RecordLayout {
  readonly type: number;
  readonly name: string;
  readonly fields: readonly LayoutField[];
  readonly tail: RecordTail | null;
  /** How many there are in an image. */
  readonly count: 'one' | 'at most one' | 'any';
  /** The field by which records of this type differ, where there is more than one. */
  readonly key: string | null;
}

const one = { tail: null, count: 'one', key: null } as const;
const atMostOne = { count: 'at most one', key: null } as const;

/** Every type, by its number. */
export const IMAGE_B_RECORDS = [
  { type: 0, name: 'END', fields: [], ...one },
  { type: 1, name: 'HEADER', fields: HEADER_FIELDS, ...one },
  {
    type: 2,
    name: 'VF_INFO',
    fields: VF_INFO_FIELDS,
    ...one,
    tail: {
      name: 'opcodes_allowlist',
      countedBy: 'virtchnl_op_max',
      per: 32,
      element: [
        { name: 'word', offset: 0, type: 'u32', hex: true, meaning: 'opcodes that are allowed', ...read },
      ],
    },
  },
  { type: 3, name: 'TX_QUEUE', fields: TX_QUEUE_FIELDS, tail: null, count: 'any', key: 'queue_id' },
  { type: 4, name: 'RX_QUEUE', fields: RX_QUEUE_FIELDS, tail: null, count: 'any', key: 'queue_id' },
  { type: 5, name: 'MSIX_REGS', fields: MSIX_REGS_FIELDS, tail: null, count: 'any', key: 'vector_id' },
  { type: 6, name: 'MBX_REGS', fields: MBX_REGS_FIELDS, ...one },
  { type: 7, name: 'STATS', fields: STATS_FIELDS, ...one },
  {
    type: 8,
    name: 'RSS',
    fields: RSS_FIELDS,
    tail: {
      name: 'lut',
      countedBy: 'lut_size',
      per: 1,
      element: [{ name: 'entry', offset: 0, type: 'u8', meaning: 'queue', ...read }],
    },
    ...atMostOne,
  },
  {
    type: 9,
    name: 'VLAN_FILTERS',
    fields: VLAN_FILTERS_FIELDS,
    tail: {
      name: 'vlans',
      countedBy: 'num_vlans',
      per: 1,
      element: [
        { name: 'tpid', offset: 0, type: 'u16', hex: true, meaning: 'kind of tag', ...read },
        { name: 'vid', offset: 2, type: 'u16', meaning: 'VLAN', ...read },
      ],
    },
    ...atMostOne,
  },
  {
    type: 10,
    name: 'MAC_FILTERS',
    fields: MAC_FILTERS_FIELDS,
    tail: {
      name: 'macs',
      countedBy: 'num_macs',
      per: 1,
      element: [{ name: 'mac', offset: 0, type: 'mac', meaning: 'MAC', ...read }],
    },
    ...atMostOne,
  },
] as const satisfies readonly RecordLayout[];

/** The number behind the last type: NUM of the published source. */
export const B_NUM_TYPES = IMAGE_B_RECORDS.length;

/** Type and length of a record. */
export const B_RECORD_FIELDS = [
  { name: 'type', offset: 0, type: 'u16', meaning: 'type of the record', ...read },
  { name: 'len', offset: 2, type: 'u16', meaning: 'bytes of data, a multiple of 4', ...read },
] as const satisfies readonly LayoutField[];
/** Bytes of type and length in front of a record. */
export const B_RECORD_HEADER = layoutSize(B_RECORD_FIELDS);
/** Bytes to which records of generation B are padded. */
export const B_ALIGNMENT = 4;

/** Bytes of a record's data before padding, with so many elements of its tail. */
export function recordDataSize(layout: RecordLayout, elements: number): number {
  return layoutSize(layout.fields) + (layout.tail === null ? 0 : elements * layoutSize(layout.tail.element));
}

/** Elements of a tail whose count field has this value. */
export function tailElements(tail: RecordTail, count: number): number {
  return Math.ceil(count / tail.per);
}

/** The next multiple of 4. */
export function padded(size: number): number {
  return Math.ceil(size / B_ALIGNMENT) * B_ALIGNMENT;
}
