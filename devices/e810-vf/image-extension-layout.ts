import type { RecordLayout } from './image-b-layout.js';
import { type LayoutField, layoutSize } from './layout.js';

/**
 * What neither published generation carries, in records of the form that generation B has. Their types follow
 * the published ones (type numbers are only ever appended), and each is written only where what it says does
 * not follow from the rest of the image. A published loader of generation B refuses an image with such a
 * record, since it could only lose the state in it.
 *
 * In an image of generation A they stand behind `total_size`, where the published loader does not look:
 *
 * | bytes | what |
 * |---|---|
 * | 0 to 3 | magic number, "E8XT" |
 * | 4 to 7 | bytes of records that follow, END among them |
 * | then | VF_INFO, RSS, STATS, VF_STATE, and QUEUE_STATE of each queue that was ever set up, then END |
 *
 * VF_INFO, RSS and STATS are those of generation B: what a replay of messages does not bring back is the
 * settings of the host, the hash configuration, and the counters.
 */
const own = { certainty: 'read' } as const;

const VF_STATE_FIELDS = [
  { name: 'icr01', offset: 0, type: 'u32', hex: true, meaning: 'cause of the mailbox vector', ...own },
  { name: 'icr0_ena', offset: 4, type: 'u32', hex: true, meaning: 'causes that are enabled', ...own },
  {
    name: 'pending',
    offset: 8,
    type: 'u32',
    dims: [3],
    hex: true,
    meaning: 'vectors whose interrupt is pending, the lowest bit first',
    ...own,
  },
  { name: 'guest_vsi_id', offset: 20, type: 'u16', meaning: 'the VSI number that the guest knows', ...own },
  { name: 'rstat', offset: 22, type: 'u8', meaning: 'VFGEN_RSTAT', ...own },
  {
    name: 'flags',
    offset: 23,
    type: 'u8',
    bits: ['init', 'queues_enabled', 'disabled', 'unicast_promisc', 'multicast_promisc'],
    meaning: 'state bits of the PF driver',
    ...own,
  },
] as const satisfies readonly LayoutField[];

const QUEUE_STATE_FIELDS = [
  { name: 'tx_tail', offset: 0, type: 'u32', meaning: 'Tx tail register', ...own },
  { name: 'rx_tail', offset: 4, type: 'u32', meaning: 'Rx tail register', ...own },
  { name: 'queue_id', offset: 8, type: 'u16', meaning: 'queue pair of the VF', ...own },
  { name: 'tx_itr', offset: 10, type: 'u16', meaning: 'ITR index of the Tx queue', ...own },
  { name: 'rx_itr', offset: 12, type: 'u16', meaning: 'ITR index of the Rx queue', ...own },
  { name: 'tx_vector', offset: 14, type: 'u16', meaning: 'vector, if tx_vector_valid', ...own },
  { name: 'rx_vector', offset: 16, type: 'u16', meaning: 'vector, if rx_vector_valid', ...own },
  {
    name: 'flags',
    offset: 18,
    type: 'u8',
    bits: ['tx_ena', 'rx_ena', 'tx_vector_valid', 'rx_vector_valid'],
    meaning: 'which queues of the pair are enabled and have a vector',
    ...own,
  },
] as const satisfies readonly LayoutField[];

/** The records, by ascending type. */
export const EXTENSION_RECORDS = [
  { type: 11, name: 'VF_STATE', fields: VF_STATE_FIELDS, tail: null, count: 'at most one', key: null },
  { type: 12, name: 'QUEUE_STATE', fields: QUEUE_STATE_FIELDS, tail: null, count: 'any', key: 'queue_id' },
] as const satisfies readonly RecordLayout[];

/** The number behind the last type: what an image with such records has in `num_supported_tlvs`. */
export const EXTENDED_NUM_TYPES = 13;

/** The head of the records behind an image of generation A. */
export const A_EXTENSION_FIELDS = [
  { name: 'magic', offset: 0, type: 'u32', hex: true, meaning: '"E8XT"', ...own },
  { name: 'size', offset: 4, type: 'u32', meaning: 'bytes of the records', ...own },
] as const satisfies readonly LayoutField[];
/** The magic number of the extension: "E8XT" in memory. */
export const A_EXTENSION_MAGIC = 0x54583845;
/** Bytes of the head of the extension. */
export const A_EXTENSION_HEADER = layoutSize(A_EXTENSION_FIELDS);
