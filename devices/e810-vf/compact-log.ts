/**
 * Generation A, uapi: the shortest log that makes the VF what it is. The published driver keeps each message for
 * ever, so that a guest which has changed its filters often enough is refused any further change, or has a log
 * that does not fit into the file. Here a log that has become long is replaced by one that is made of the state,
 * in the order in which a guest would say it.
 */
import {
  hasVirtchnlCap,
  VIRTCHNL_ETHER_ADDR,
  VIRTCHNL_OPS,
  VIRTCHNL_PROMISC,
  VIRTCHNL_VERSION,
  VirtchnlEtherAddrList,
  VirtchnlIrqMap,
  type VirtchnlOp,
  VirtchnlPromiscInfo,
  VirtchnlQueueSelect,
  VirtchnlRssKey,
  VirtchnlRssLut,
  VirtchnlRxqInfo,
  VirtchnlTxqInfo,
  VirtchnlVersionInfo,
  VirtchnlVlanFilterList,
  VirtchnlVsiQueueConfig,
  VirtchnlWantedCaps,
  virtchnlRequest,
} from 'stopcopy/uapi';
import { isMac, VLAN_TAG } from './hardware/frame.js';
import { hasPortVlan } from './hardware/switch.js';
import type { LoggedMessage, RxQueue, TxQueue, VfState } from './vf-state.js';

/** Filters in a message: it has to fit into a buffer of the mailbox. */
const MOST_FILTERS = 100;
const NO_BYTES = new Uint8Array(0);

/** The messages; a VF whose driver has not said its version yet has none. */
export function compactLog(state: VfState): LoggedMessage[] {
  const { pf } = state;
  const { version } = pf;
  if (version.major === 0) return [];
  const messages = [message('VERSION', VirtchnlVersionInfo.encode(version))];
  if (!pf.active) return messages;
  const { major, minor } = VIRTCHNL_VERSION;
  const withCaps = version.major === major && version.minor === minor;
  const caps = withCaps ? VirtchnlWantedCaps.encode({ vf_cap_flags: pf.caps }) : NO_BYTES;
  messages.push({ opcode: VIRTCHNL_OPS.GET_VF_RESOURCES, payload: caps });
  if (hasVirtchnlCap(pf.caps, 'RSS_PF')) messages.push(...rss(state));
  messages.push(...addresses(state), ...vlans(state));
  const flags =
    (pf.unicastPromisc ? VIRTCHNL_PROMISC.UNICAST : 0) |
    (pf.multicastPromisc ? VIRTCHNL_PROMISC.MULTICAST : 0);
  if (flags !== 0)
    messages.push(
      message('CONFIG_PROMISCUOUS_MODE', VirtchnlPromiscInfo.encode({ vsi_id: pf.vsiId, flags })),
    );
  return [...messages, ...queues(state), ...vectors(state), ...enabled(state)];
}

const message = (op: VirtchnlOp, bytes: Uint8Array): LoggedMessage => ({
  opcode: VIRTCHNL_OPS[op],
  payload: virtchnlRequest(op, bytes),
});

function rss({ pf: { vsiId: vsi_id, rss } }: VfState): LoggedMessage[] {
  const key = Array.from(rss.key, (byte) => ({ key: byte }));
  const lut = Array.from(rss.lut, (entry) => ({ lut: entry }));
  return [
    message('CONFIG_RSS_KEY', VirtchnlRssKey.encode({ head: { vsi_id, key_len: key.length }, items: key })),
    message(
      'CONFIG_RSS_LUT',
      VirtchnlRssLut.encode({ head: { vsi_id, lut_entries: lut.length }, items: lut }),
    ),
  ];
}

function* parts<T>(list: readonly T[], most: number): Generator<readonly T[]> {
  for (let at = 0; at < list.length; at += most) yield list.slice(at, at + most);
}

/** The guest's own MAC is the primary one. */
function* addresses({ pf }: VfState): Generator<LoggedMessage> {
  const { PRIMARY, EXTRA } = VIRTCHNL_ETHER_ADDR;
  for (const macs of parts(pf.macs, MOST_FILTERS)) {
    const items = macs.map((addr) => ({
      addr,
      type: isMac(addr, 0, pf.deviceMac) ? PRIMARY : EXTRA,
      pad: 0,
    }));
    const head = { vsi_id: pf.vsiId, num_elements: items.length };
    yield message('ADD_ETH_ADDR', VirtchnlEtherAddrList.encode({ head, items }));
  }
}

/** GET_VF_RESOURCES has switched stripping on where there are VLANs. */
function* vlans({ pf }: VfState): Generator<LoggedMessage> {
  for (const some of parts(pf.vlans, MOST_FILTERS)) {
    const head = { vsi_id: pf.vsiId, num_elements: some.length };
    const items = some.map(({ vid }) => ({ vlan_id: vid }));
    yield message('ADD_VLAN', VirtchnlVlanFilterList.encode({ head, items }));
  }
  if (hasVirtchnlCap(pf.caps, 'VLAN') && !pf.innerStrip) yield message('DISABLE_VLAN_STRIPPING', NO_BYTES);
}

/** A ring length of 0 leaves a queue as it is: so for one half of a pair that has no ring. */
function* queues({ pf, tx, rx }: VfState): Generator<LoggedMessage> {
  const ids = [...tx.keys()].filter((id) => tx[id]!.configured || rx[id]!.configured);
  if (ids.length === 0) return;
  const tag = hasPortVlan(pf) ? VLAN_TAG : 0;
  const items = ids.map((queue_id) => ({
    txq: txqInfo(pf.vsiId, queue_id, tx[queue_id]!),
    rxq: rxqInfo(pf.vsiId, queue_id, rx[queue_id]!, tag),
  }));
  const head = { vsi_id: pf.vsiId, num_queue_pairs: items.length, pad: 0 };
  yield message('CONFIG_VSI_QUEUES', VirtchnlVsiQueueConfig.encode({ head, items }));
}

function txqInfo(vsi_id: number, queue_id: number, queue: TxQueue): Uint8Array {
  return VirtchnlTxqInfo.encode({
    vsi_id,
    queue_id,
    ring_len: queue.count,
    headwb_enabled: 0,
    dma_ring_addr: BigInt(queue.base),
    dma_headwb_addr: 0n,
  });
}

function rxqInfo(vsi_id: number, queue_id: number, queue: RxQueue, tag: number): Uint8Array {
  return VirtchnlRxqInfo.encode({
    vsi_id,
    queue_id,
    ring_len: queue.count,
    hdr_size: 0,
    splithdr_enabled: 0,
    databuffer_size: queue.bufferSize,
    max_pkt_size: Math.max(0, queue.maxFrame - tag),
    crc_disable: queue.configured && !queue.crcStrip ? 1 : 0,
    rxdid: queue.rxdid,
    flags: 0,
    pad1: 0,
    dma_ring_addr: BigInt(queue.base),
    rx_split_pos: 0,
    pad2: 0,
  });
}

/** An entry for each queue, as many in a message as the VF has vectors. */
function* vectors({ pf, tx, rx }: VfState): Generator<LoggedMessage> {
  const entry = (queue: TxQueue, maps: { rxq_map: number; txq_map: number }) =>
    queue.vector === null
      ? []
      : [
          {
            vsi_id: pf.vsiId,
            vector_id: queue.vector,
            ...maps,
            rxitr_idx: queue.itr,
            txitr_idx: queue.itr,
          },
        ];
  const entries = [
    ...rx.flatMap((queue, id) => entry(queue, { rxq_map: 1 << id, txq_map: 0 })),
    ...tx.flatMap((queue, id) => entry(queue, { rxq_map: 0, txq_map: 1 << id })),
  ];
  for (const items of parts(entries, pf.vectors))
    yield message('CONFIG_IRQ_MAP', VirtchnlIrqMap.encode({ head: { num_vectors: items.length }, items }));
}

function* enabled({ pf, tx, rx }: VfState): Generator<LoggedMessage> {
  const map = (queues: readonly TxQueue[]) =>
    queues.reduce((bits, { enabled: on }, id) => (on ? bits | (1 << id) : bits), 0);
  const select = { vsi_id: pf.vsiId, pad: 0, rx_queues: map(rx), tx_queues: map(tx) };
  if (select.rx_queues === 0 && select.tx_queues === 0) return;
  yield message('ENABLE_QUEUES', VirtchnlQueueSelect.encode(select));
}
