import type { LayoutField } from './layout.js';

/**
 * Generation A ("Add E800 live migration driver", v4, 2023): the header of the image. The offsets come from
 * compiling the declared struct, which is aligned to 8, so each is `concluded`.
 *
 * | bytes | what |
 * |---|---|
 * | 0 to 3413 | this header |
 * | from 3414 | slots, each 8 bytes and a virtchnl message, two of the 8 behind the message |
 * | then 8 | the terminator: a slot whose opcode is 0 |
 * | to 131072 | zeros; from `total_size` on may stand what `image-extension-layout.ts` tells |
 *
 * The slots begin inside the padding that the struct has at its end, so `total_size` counts two bytes more
 * than there are up to the end of the terminator.
 */
const concluded = { certainty: 'concluded' } as const;

/** Elements of the arrays by queue. */
export const A_QUEUES = 256;

/** The head of an image of generation A: every field at its offset. */
export const IMAGE_A_FIELDS = [
  { name: 'magic', offset: 0, type: 'u32', hex: true, meaning: '0xE8000001, as generation B', ...concluded },
  { name: 'version', offset: 4, type: 'u32', meaning: '1, as generation B', ...concluded },
  {
    name: 'total_size',
    offset: 8,
    type: 'u64',
    meaning: 'the struct, all slots, and the terminator',
    ...concluded,
  },
  {
    name: 'vf_caps',
    offset: 16,
    type: 'u32',
    hex: true,
    meaning: 'negotiated driver capabilities',
    ...concluded,
  },
  { name: 'num_txq', offset: 20, type: 'u16', meaning: 'Tx queues of the VSI', ...concluded },
  { name: 'num_rxq', offset: 22, type: 'u16', meaning: 'Rx queues of the VSI', ...concluded },
  {
    name: 'int_dyn_ctl',
    offset: 24,
    type: 'u32',
    dims: [65],
    hex: true,
    meaning: 'regs: interrupt control by vector, 0 is the mailbox',
    ...concluded,
  },
  {
    name: 'int_intr',
    offset: 284,
    type: 'u32',
    dims: [4, 65],
    hex: true,
    meaning: 'regs: interrupt throttling by ITR index and vector',
    ...concluded,
  },
  {
    name: 'asq_bal',
    offset: 1324,
    type: 'u32',
    hex: true,
    meaning: 'regs: VF to PF mailbox, base low',
    ...concluded,
  },
  {
    name: 'asq_bah',
    offset: 1328,
    type: 'u32',
    hex: true,
    meaning: 'regs: VF to PF mailbox, base high',
    ...concluded,
  },
  {
    name: 'asq_len',
    offset: 1332,
    type: 'u32',
    hex: true,
    meaning: 'regs: VF to PF mailbox, length and ENABLE',
    ...concluded,
  },
  { name: 'asq_head', offset: 1336, type: 'u32', meaning: 'regs: VF to PF mailbox, head', ...concluded },
  {
    name: 'asq_tail',
    offset: 1340,
    type: 'u32',
    meaning: 'regs: VF to PF mailbox, tail: a doorbell, which the loader does not write',
    ...concluded,
  },
  {
    name: 'arq_bal',
    offset: 1344,
    type: 'u32',
    hex: true,
    meaning: 'regs: PF to VF mailbox, base low',
    ...concluded,
  },
  {
    name: 'arq_bah',
    offset: 1348,
    type: 'u32',
    hex: true,
    meaning: 'regs: PF to VF mailbox, base high',
    ...concluded,
  },
  {
    name: 'arq_len',
    offset: 1352,
    type: 'u32',
    hex: true,
    meaning: 'regs: PF to VF mailbox, length and ENABLE',
    ...concluded,
  },
  { name: 'arq_head', offset: 1356, type: 'u32', meaning: 'regs: PF to VF mailbox, head', ...concluded },
  { name: 'arq_tail', offset: 1360, type: 'u32', meaning: 'regs: PF to VF mailbox, tail', ...concluded },
  {
    name: 'rx_tail',
    offset: 1364,
    type: 'u32',
    dims: [A_QUEUES],
    meaning: 'regs: Rx tails, 0 for a disabled queue',
    ...concluded,
  },
  { name: 'vsi_id', offset: 2388, type: 'u16', meaning: 'the VSI number that the guest knows', ...concluded },
  {
    name: 'rx_head',
    offset: 2390,
    type: 'u16',
    dims: [A_QUEUES],
    meaning: 'next Rx descriptor that the hardware will use',
    ...concluded,
  },
  {
    name: 'tx_head',
    offset: 2902,
    type: 'u16',
    dims: [A_QUEUES],
    meaning: 'next Tx descriptor that the hardware will use',
    ...concluded,
  },
] as const satisfies readonly LayoutField[];

/** Where the slots begin. */
export const A_SLOTS_OFFSET = 3414;
/** `sizeof` the header, with two bytes of padding at its end. */
export const A_HEADER_SIZE = 3416;

/** The head of a slot. The message follows at once, at offset 6. */
export const A_SLOT_FIELDS = [
  { name: 'opcode', offset: 0, type: 'u32', meaning: 'virtchnl opcode; 0 ends the list', ...concluded },
  { name: 'msg_len', offset: 4, type: 'u16', meaning: 'bytes of the message', ...concluded },
] as const satisfies readonly LayoutField[];

/** Where the message of a slot begins. */
export const A_SLOT_MESSAGE = 6;
/** What a slot has beyond its message: six bytes before it, and two behind it that nobody fills. */
export const A_SLOT_OVERHEAD = 8;
