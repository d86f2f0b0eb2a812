/** The records of an image put into a VF: the inverse of `state-to-records.ts`. Nothing is checked but bounds. */
import { DeviceError } from 'stopcopy/uapi';
import type { RecordValue } from './image-record.js';
import { type RxQueue, type TxQueue, VF_LIMITS, type VfState } from './vf-state.js';

const invalid = (words: string) => new DeviceError('EINVAL', `the image ${words}`);

/** Addresses are exact as numbers below this. */
const ADDRESS_LIMIT = 2n ** 53n;

/** What the host has set; it stands before what the guest has done. */
export function putHostSettings({ pf }: VfState, info: RecordValue<'VF_INFO'>): void {
  const { flags } = info;
  pf.hostMac = info.hw_lan_addr.slice();
  pf.deviceMac = info.dev_lan_addr.slice();
  pf.macSetByHost = flags.pf_set_mac;
  pf.trusted = flags.trusted;
  pf.spoofCheck = flags.spoofchk;
  pf.minTxRate = info.min_tx_rate;
  pf.maxTxRate = info.max_tx_rate;
  pf.portVlan = { tpid: info.port_vlan_tpid, vid: info.port_vlan_vid, prio: info.port_vlan_prio };
}

/** What was negotiated with the guest, and the link. */
export function putNegotiated({ pf }: VfState, info: RecordValue<'VF_INFO'>): void {
  const { flags } = info;
  pf.caps = info.driver_caps;
  pf.vlanV2Caps = info.vlan_v2_caps.slice();
  pf.version = { major: info.vf_ver_major, minor: info.vf_ver_minor };
  pf.innerStrip = flags.inner_strip;
  pf.outerStrip = flags.outer_strip;
  pf.active = flags.driver_active;
  pf.linkForced = flags.link_forced;
  pf.linkUp = flags.link_up;
  pf.allowlist.clear();
  for (let opcode = 0; opcode < info.virtchnl_op_max; opcode++)
    if ((info.opcodes_allowlist[opcode >> 5] ?? 0) & (1 << (opcode & 31))) pf.allowlist.add(opcode);
}

/** @throws DeviceError EINVAL for a vector that no VF has */
export function putMsixRegs(state: VfState, regs: RecordValue<'MSIX_REGS'>): void {
  if (regs.vector_id >= VF_LIMITS.vectors) throw invalid(`has registers of vector ${regs.vector_id}`);
  state.dynCtl[regs.vector_id] = regs.int_dyn_ctl;
  for (const [index, interval] of regs.int_intr.entries()) state.itr[index]![regs.vector_id] = interval;
}

/** @throws DeviceError EINVAL for a queue that the VF does not have, or a position outside the ring */
export function putTxQueue(state: VfState, record: RecordValue<'TX_QUEUE'>): TxQueue {
  return putQueue(state, state.tx, 'Tx', record);
}

/** @throws DeviceError as `putTxQueue` */
export function putRxQueue(state: VfState, record: RecordValue<'RX_QUEUE'>): RxQueue {
  const queue = putQueue(state, state.rx, 'Rx', record);
  queue.tail = record.tail;
  queue.bufferSize = record.rx_buf_len;
  queue.maxFrame = record.max_frame;
  queue.rxdid = record.rxdid;
  queue.crcStrip = record.flags.crc_strip;
  return queue;
}

function putQueue<Q extends TxQueue>(
  { pf }: VfState,
  queues: readonly Q[],
  kind: string,
  record: Omit<RecordValue<'TX_QUEUE'>, 'flags'> & { flags: { vector_valid: boolean; ena: boolean } },
): Q {
  const { queue_id: id, head, count } = record;
  const queue = id < pf.queuePairs ? queues[id] : undefined;
  if (queue === undefined) throw invalid(`has ${kind} queue ${id}, and the VF has ${pf.queuePairs} of them`);
  if (head > 0 && head >= count)
    throw invalid(`has ${kind} queue ${id} at descriptor ${head} of a ring of ${count}`);
  if (record.dma >= ADDRESS_LIMIT)
    throw invalid(`has ${kind} queue ${id} at the address 0x${record.dma.toString(16)}`);
  queue.configured = true;
  queue.enabled = record.flags.ena;
  queue.base = Number(record.dma);
  queue.count = count;
  queue.head = head;
  queue.tail = head;
  queue.vector = record.flags.vector_valid ? record.vector_id : null;
  return queue;
}

/** ITR indexes of the queues, by the vectors that serve them. */
export function putItrIndexes(state: VfState, msix: readonly RecordValue<'MSIX_REGS'>[]): void {
  for (const { vector_id, tx_itr_idx, rx_itr_idx } of msix) {
    for (const queue of state.tx) if (queue.configured && queue.vector === vector_id) queue.itr = tx_itr_idx;
    for (const queue of state.rx) if (queue.configured && queue.vector === vector_id) queue.itr = rx_itr_idx;
  }
}

export function putMbxRegs({ atq, arq }: VfState, regs: RecordValue<'MBX_REGS'>): void {
  atq.head = regs.atq_head;
  atq.tail = regs.atq_tail;
  atq.bal = regs.atq_bal;
  atq.bah = regs.atq_bah;
  atq.len = regs.atq_len;
  arq.head = regs.arq_head;
  arq.tail = regs.arq_tail;
  arq.bal = regs.arq_bal;
  arq.bah = regs.arq_bah;
  arq.len = regs.arq_len;
}

/** @throws DeviceError EINVAL for a look-up table of another length */
export function putRss({ pf: { rss } }: VfState, record: RecordValue<'RSS'>): void {
  if (record.lut.length !== rss.lut.length)
    throw invalid(`has an RSS look-up table of ${record.lut.length} entries, not ${rss.lut.length}`);
  rss.hashcfg = record.hashcfg;
  rss.key = record.key.slice();
  rss.lut = Uint8Array.from(record.lut);
  rss.hfunc = record.hfunc;
}

export function putStats({ pf }: VfState, stats: RecordValue<'STATS'>): void {
  Object.assign(pf.stats, stats);
}

export function putVfState(state: VfState, record: RecordValue<'VF_STATE'>): void {
  const { pf } = state;
  state.icr01 = record.icr01;
  state.icr0Ena = record.icr0_ena;
  state.rstat = record.rstat;
  for (const vector of state.pending.keys())
    state.pending[vector] = (record.pending[vector >> 5]! >>> (vector & 31)) & 1;
  pf.guestVsiId = record.guest_vsi_id;
  pf.init = record.flags.init;
  pf.queuesEnabled = record.flags.queues_enabled;
  pf.disabled = record.flags.disabled;
  pf.unicastPromisc = record.flags.unicast_promisc;
  pf.multicastPromisc = record.flags.multicast_promisc;
}

/** @throws DeviceError EINVAL for a queue that no VF has */
export function putQueueState(state: VfState, record: RecordValue<'QUEUE_STATE'>): void {
  const [tx, rx] = [state.tx[record.queue_id], state.rx[record.queue_id]];
  if (tx === undefined || rx === undefined) throw invalid(`has queue pair ${record.queue_id}`);
  const { flags } = record;
  Object.assign(tx, { tail: record.tx_tail, itr: record.tx_itr, enabled: flags.tx_ena });
  Object.assign(rx, { tail: record.rx_tail, itr: record.rx_itr, enabled: flags.rx_ena });
  tx.vector = flags.tx_vector_valid ? record.tx_vector : null;
  rx.vector = flags.rx_vector_valid ? record.rx_vector : null;
}
