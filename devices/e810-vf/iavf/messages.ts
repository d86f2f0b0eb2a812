/** The requests of the driver as bytes. */
import {
  VIRTCHNL_ETHER_ADDR,
  VIRTCHNL_LIMITS,
  VIRTCHNL_PROMISC,
  VIRTCHNL_VERSION,
  VirtchnlEtherAddrList,
  VirtchnlIrqMap,
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
  virtchnlCapMask,
  virtchnlRequest,
} from 'stopcopy/uapi';
import { mix } from '../random.js';
import { FRAME_SIZE } from '../traffic.js';
import { BUFFER, type RamLayout } from './ram-layout.js';

/** Capabilities that the driver asks for: those that it uses. */
const WANTED_CAPS = virtchnlCapMask(['L2', 'VLAN', 'RSS_PF', 'WB_ON_ITR', 'RX_FLEX_DESC', 'RX_POLLING']);

export const versionMessage = (): Uint8Array =>
  VirtchnlVersionInfo.encode({ major: VIRTCHNL_VERSION.major, minor: VIRTCHNL_VERSION.minor });

export const capsMessage = (): Uint8Array => VirtchnlWantedCaps.encode({ vf_cap_flags: WANTED_CAPS });

/** The first address is the VF's own. */
export function macsMessage(
  op: 'ADD_ETH_ADDR' | 'DEL_ETH_ADDR',
  vsiId: number,
  macs: readonly { mac: Uint8Array; own: boolean }[],
): Uint8Array {
  const { PRIMARY, EXTRA } = VIRTCHNL_ETHER_ADDR;
  const items = macs.map(({ mac, own }) => ({ addr: mac, type: own ? PRIMARY : EXTRA, pad: 0 }));
  const head = { vsi_id: vsiId, num_elements: items.length };
  return virtchnlRequest(op, VirtchnlEtherAddrList.encode({ head, items }));
}

export function vlansMessage(
  op: 'ADD_VLAN' | 'DEL_VLAN',
  vsiId: number,
  vlans: readonly number[],
): Uint8Array {
  const head = { vsi_id: vsiId, num_elements: vlans.length };
  const items = vlans.map((vlan_id) => ({ vlan_id }));
  return virtchnlRequest(op, VirtchnlVlanFilterList.encode({ head, items }));
}

/** CONFIG_VSI_QUEUES for all queue pairs of a layout. */
export function queuesMessage(vsiId: number, layout: RamLayout, rxdid: number): Uint8Array {
  const items = layout.queues.map(({ tx, rx }, queue) => {
    const common = { vsi_id: vsiId, queue_id: queue, ring_len: layout.ringLength };
    const txq = VirtchnlTxqInfo.encode({
      ...common,
      headwb_enabled: 0,
      dma_ring_addr: BigInt(tx.ring.start),
      dma_headwb_addr: 0n,
    });
    const rxq = VirtchnlRxqInfo.encode({
      ...common,
      hdr_size: 0,
      splithdr_enabled: 0,
      databuffer_size: BUFFER.data,
      max_pkt_size: FRAME_SIZE.most,
      crc_disable: 0,
      rxdid,
      flags: 0,
      pad1: 0,
      dma_ring_addr: BigInt(rx.ring.start),
      rx_split_pos: 0,
      pad2: 0,
    });
    return { txq, rxq };
  });
  const head = { vsi_id: vsiId, num_queue_pairs: items.length, pad: 0 };
  return virtchnlRequest('CONFIG_VSI_QUEUES', VirtchnlVsiQueueConfig.encode({ head, items }));
}

/** Queue vectors first, a pair each with Rx ITR 0 and Tx ITR 1; the mailbox's vector last. */
export function irqMapMessage(vsiId: number, queuePairs: number): Uint8Array {
  const vector = (vector_id: number, map: number, txitr_idx: number) => ({
    vsi_id: vsiId,
    vector_id,
    rxq_map: map,
    txq_map: map,
    rxitr_idx: 0,
    txitr_idx,
  });
  const queues = Array.from({ length: queuePairs }, (_, queue) => vector(queue + 1, 1 << queue, 1));
  const items = [...queues, vector(0, 0, 0)];
  const head = { num_vectors: items.length };
  return virtchnlRequest('CONFIG_IRQ_MAP', VirtchnlIrqMap.encode({ head, items }));
}

/** ENABLE_QUEUES and GET_STATS; queues from 0 on. */
export function selectMessage(vsiId: number, queues: number): Uint8Array {
  const bits = 2 ** queues - 1;
  return VirtchnlQueueSelect.encode({ vsi_id: vsiId, pad: 0, rx_queues: bits, tx_queues: bits });
}

/** The key is drawn from a seed. */
export function rssKeyMessage(vsiId: number, seed: number): Uint8Array {
  const items = Array.from({ length: VIRTCHNL_LIMITS.rssKeyBytes }, (_, at) => ({
    key: mix(seed, at) & 0xff,
  }));
  const head = { vsi_id: vsiId, key_len: items.length };
  return virtchnlRequest('CONFIG_RSS_KEY', VirtchnlRssKey.encode({ head, items }));
}

/** The table deals the queues out in turn. */
export function rssLutMessage(vsiId: number, queuePairs: number): Uint8Array {
  const items = Array.from({ length: VIRTCHNL_LIMITS.rssLutEntries }, (_, at) => ({ lut: at % queuePairs }));
  const head = { vsi_id: vsiId, lut_entries: items.length };
  return virtchnlRequest('CONFIG_RSS_LUT', VirtchnlRssLut.encode({ head, items }));
}

export const promiscMessage = (vsiId: number): Uint8Array =>
  VirtchnlPromiscInfo.encode({ vsi_id: vsiId, flags: VIRTCHNL_PROMISC.MULTICAST });
