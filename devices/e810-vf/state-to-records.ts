/** A VF in the records of its images: every field from where the VF has it. */
import { VIRTCHNL_OP_MAX } from 'stopcopy/uapi';
import type { RecordValue } from './image-record.js';
import { type RxQueue, type TxQueue, VF_LIMITS, type VfState } from './vf-state.js';

export function vfInfoOf({ pf }: VfState): RecordValue<'VF_INFO'> {
  const words = new Array<number>(Math.ceil(VIRTCHNL_OP_MAX / 32)).fill(0);
  for (const opcode of pf.allowlist)
    if (opcode < VIRTCHNL_OP_MAX) words[opcode >> 5] = (words[opcode >> 5]! | (1 << (opcode & 31))) >>> 0;
  return {
    dev_lan_addr: pf.deviceMac.slice(),
    hw_lan_addr: pf.hostMac.slice(),
    driver_caps: pf.caps,
    vlan_v2_caps: pf.vlanV2Caps.slice(),
    vf_ver_major: pf.version.major,
    vf_ver_minor: pf.version.minor,
    min_tx_rate: pf.minTxRate,
    max_tx_rate: pf.maxTxRate,
    virtchnl_op_max: VIRTCHNL_OP_MAX,
    num_vf_qs: pf.queuePairs,
    num_msix: pf.vectors,
    port_vlan_tpid: pf.portVlan.tpid,
    port_vlan_vid: pf.portVlan.vid,
    port_vlan_prio: pf.portVlan.prio,
    flags: {
      inner_strip: pf.innerStrip,
      outer_strip: pf.outerStrip,
      pf_set_mac: pf.macSetByHost,
      trusted: pf.trusted,
      spoofchk: pf.spoofCheck,
      driver_active: pf.active,
      link_forced: pf.linkForced,
      link_up: pf.linkUp,
    },
    opcodes_allowlist: words,
  };
}

/** ITR indexes of a vector: those of the first queues that it serves. */
export function itrIndexesOf({ tx, rx }: VfState, vector: number): { tx: number; rx: number } {
  const first = (queues: readonly TxQueue[]) =>
    queues.find((queue) => queue.configured && queue.vector === vector)?.itr ?? 0;
  return { tx: first(tx), rx: first(rx) };
}

export function msixRegsOf(state: VfState, vector: number): RecordValue<'MSIX_REGS'> {
  const itr = itrIndexesOf(state, vector);
  return {
    int_dyn_ctl: state.dynCtl[vector]!,
    int_intr: state.itr.map((intervals) => intervals[vector]!),
    tx_itr_idx: itr.tx,
    rx_itr_idx: itr.rx,
    vector_id: vector,
  };
}

export function txQueueOf(queue: TxQueue, id: number): RecordValue<'TX_QUEUE'> {
  return {
    dma: BigInt(queue.base),
    count: queue.count,
    head: queue.head,
    queue_id: id,
    vector_id: queue.vector ?? 0,
    flags: { vector_valid: queue.vector !== null, ena: queue.enabled },
  };
}

export function rxQueueOf(queue: RxQueue, id: number): RecordValue<'RX_QUEUE'> {
  return {
    dma: BigInt(queue.base),
    max_frame: queue.maxFrame,
    rx_buf_len: queue.bufferSize,
    rxdid: queue.rxdid,
    count: queue.count,
    head: queue.head,
    tail: queue.tail,
    queue_id: id,
    vector_id: queue.vector ?? 0,
    flags: { vector_valid: queue.vector !== null, crc_strip: queue.crcStrip, ena: queue.enabled },
  };
}

export function mbxRegsOf({ atq, arq }: VfState): RecordValue<'MBX_REGS'> {
  return {
    atq_head: atq.head,
    atq_tail: atq.tail,
    atq_bal: atq.bal,
    atq_bah: atq.bah,
    atq_len: atq.len,
    arq_head: arq.head,
    arq_tail: arq.tail,
    arq_bal: arq.bal,
    arq_bah: arq.bah,
    arq_len: arq.len,
  };
}

export function rssOf({ pf: { rss } }: VfState): RecordValue<'RSS'> {
  return { hashcfg: rss.hashcfg, key: rss.key.slice(), hfunc: rss.hfunc, lut: [...rss.lut] };
}

export function statsOf({ pf: { stats } }: VfState): RecordValue<'STATS'> {
  return { ...stats };
}

export function vlansOf({ pf: { vlans } }: VfState): { tpid: number; vid: number }[] {
  return vlans.map(({ tpid, vid }) => ({ tpid, vid }));
}

export function macsOf({ pf: { macs } }: VfState): Uint8Array[] {
  return macs.map((mac) => mac.slice());
}

export function vfStateOf(state: VfState): RecordValue<'VF_STATE'> {
  const { pf } = state;
  return {
    icr01: state.icr01,
    icr0_ena: state.icr0Ena,
    pending: bitsOf(state.pending),
    guest_vsi_id: pf.guestVsiId,
    rstat: state.rstat,
    flags: {
      init: pf.init,
      queues_enabled: pf.queuesEnabled,
      disabled: pf.disabled,
      unicast_promisc: pf.unicastPromisc,
      multicast_promisc: pf.multicastPromisc,
    },
  };
}

/** Three words of bits, the lowest first. */
function bitsOf(flags: Uint8Array): number[] {
  const words = [0, 0, 0];
  for (const [at, flag] of flags.entries())
    if (flag !== 0) words[at >> 5] = (words[at >> 5]! | (1 << (at & 31))) >>> 0;
  return words;
}

export function queueStateOf({ tx, rx }: VfState, id: number): RecordValue<'QUEUE_STATE'> {
  const [t, r] = [tx[id]!, rx[id]!];
  return {
    tx_tail: t.tail,
    rx_tail: r.tail,
    queue_id: id,
    tx_itr: t.itr,
    rx_itr: r.itr,
    tx_vector: t.vector ?? 0,
    rx_vector: r.vector ?? 0,
    flags: {
      tx_ena: t.enabled,
      rx_ena: r.enabled,
      tx_vector_valid: t.vector !== null,
      rx_vector_valid: r.vector !== null,
    },
  };
}

/** Numbers of the queue pairs, of those that a VF can have. */
export const QUEUE_IDS: readonly number[] = Array.from({ length: VF_LIMITS.queues }, (_, id) => id);
