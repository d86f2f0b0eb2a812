import {
  hasVirtchnlCap,
  VIRTCHNL_LIMITS,
  VIRTCHNL_RXDID,
  VirtchnlIrqMap,
  VirtchnlQueueSelect,
  VirtchnlRxqInfo,
  type VirtchnlRxqInfoValue,
  VirtchnlTxqInfo,
  type VirtchnlTxqInfoValue,
  VirtchnlVfResRequest,
  VirtchnlVsiQueueConfig,
} from 'stopcopy/uapi';
import { VLAN_TAG } from '../hardware/frame.js';
import { hasPortVlan } from '../hardware/switch.js';
import type { PfState, RxQueue, TxQueue, VfState } from '../vf-state.js';
import { type Answer, forVsi, param, success, successWith, whenActive } from './answer.js';
import { isRxdid, longestFrame } from './resources.js';

interface QueuePair {
  readonly txq: VirtchnlTxqInfoValue;
  readonly rxq: VirtchnlRxqInfoValue;
}

/** Bits of the queue number of an ITR index. */
const ITR_INDEX_MASK = 3;
/** The unit of ring addresses. */
const RING_UNIT = 128n;

const isRingLength = (length: number): boolean => {
  const { least, most, multiple } = VIRTCHNL_LIMITS.ring;
  return length === 0 || (length >= least && length <= most && length % multiple === 0);
};

/** CONFIG_VSI_QUEUES: programs the contexts. What fails leaves the queues up to it disabled. */
function configVsiQueues(state: VfState, request: { vsiId: number; pairs: QueuePair[] }): Answer {
  const { pf } = state;
  const { pairs, vsiId } = request;
  if (pairs.length > pf.queuePairs) return param;
  const keepsCrc = pairs.some(({ rxq }) => rxq.crc_disable !== 0);
  if (keepsCrc && (!hasVirtchnlCap(pf.caps, 'CRC') || pf.innerStrip || pf.outerStrip)) return param;
  for (const [index, pair] of pairs.entries())
    if (!isSound(pf, vsiId, pair) || !configPair(state, pair)) {
      for (let at = 0; at <= index; at++) disablePair(state, at);
      return param;
    }
  return success;
}

function isSound(pf: PfState, vsiId: number, { txq, rxq }: QueuePair): boolean {
  return (
    txq.vsi_id === vsiId &&
    rxq.vsi_id === vsiId &&
    rxq.queue_id === txq.queue_id &&
    txq.headwb_enabled === 0 &&
    isRingLength(txq.ring_len) &&
    isRingLength(rxq.ring_len) &&
    txq.queue_id < pf.queuePairs
  );
}

/** A ring length of 0 leaves a queue as it is. */
function configPair(state: VfState, { txq, rxq }: QueuePair): boolean {
  const { pf, tx, rx } = state;
  if (txq.ring_len > 0) configTx(tx[txq.queue_id]!, txq);
  return rxq.ring_len === 0 || configRx(pf, rx[rxq.queue_id]!, rxq);
}

const ringBase = (address: bigint): number => Number(address - (address % RING_UNIT));

/** An existing queue is disabled first; a doorbell rung before does not count. */
function configTx(queue: TxQueue, txq: VirtchnlTxqInfoValue): void {
  const base = ringBase(txq.dma_ring_addr);
  Object.assign(queue, { configured: true, enabled: false, base, count: txq.ring_len, head: 0, tail: 0 });
}

/** The tail stays: guests hand buffers over before they configure the queue. */
function configRx(pf: PfState, queue: RxQueue, rxq: VirtchnlRxqInfoValue): boolean {
  const { rxBuffer, packet } = VIRTCHNL_LIMITS;
  const bufferSize = rxq.databuffer_size;
  if (bufferSize !== 0 && (bufferSize > rxBuffer.most || bufferSize < rxBuffer.least)) return false;
  if (rxq.max_pkt_size > longestFrame(pf) || rxq.max_pkt_size < packet.least) return false;
  const flex = hasVirtchnlCap(pf.caps, 'RX_FLEX_DESC');
  if (flex && !isRxdid(rxq.rxdid)) return false;
  Object.assign(queue, {
    configured: true,
    base: ringBase(rxq.dma_ring_addr),
    count: rxq.ring_len,
    head: 0,
    bufferSize,
    maxFrame: rxq.max_pkt_size + (hasPortVlan(pf) ? VLAN_TAG : 0),
    rxdid: flex ? rxq.rxdid : VIRTCHNL_RXDID.LEGACY_32B,
    crcStrip: rxq.crc_disable === 0,
  });
  return true;
}

function disablePair({ tx, rx }: VfState, index: number): void {
  tx[index]!.enabled = false;
  rx[index]!.enabled = false;
}

/** The queues of a bitmap, the lowest first. */
function* queuesOf(bits: number): Generator<number> {
  for (let index = 0; index < VIRTCHNL_LIMITS.queuePairs; index++) if (bits & (1 << index)) yield index;
}

/** CONFIG_IRQ_MAP: which queues belong to which vector. What stands before an error is done. */
function configIrqMap({ pf, tx, rx }: VfState, payload: Uint8Array): Answer {
  const { items } = VirtchnlIrqMap.decode(payload);
  if (items.length > pf.vectors) return param;
  for (const { vsi_id, vector_id, rxq_map, txq_map, rxitr_idx, txitr_idx } of items) {
    if (vector_id >= pf.vectors || vsi_id !== pf.vsiId) return param;
    // Vector 0 is the mailbox's: nothing is mapped to it.
    if (vector_id === 0 && (rxq_map !== 0 || txq_map !== 0)) return param;
    if (!mapQueues(pf, rx, rxq_map, vector_id, rxitr_idx)) return param;
    if (!mapQueues(pf, tx, txq_map, vector_id, txitr_idx)) return param;
  }
  return success;
}

function mapQueues(
  pf: PfState,
  queues: readonly TxQueue[],
  map: number,
  vector: number,
  itr: number,
): boolean {
  for (const index of queuesOf(map)) {
    if (index >= pf.queuePairs) return false;
    Object.assign(queues[index]!, { vector, itr: itr & ITR_INDEX_MASK });
  }
  return true;
}

interface Selection {
  readonly vsi_id: number;
  readonly rx_queues: number;
  readonly tx_queues: number;
}

/** Some queue is selected, and none that no VF can have. */
function isSelection({ rx_queues, tx_queues }: Selection): boolean {
  const end = 2 ** VIRTCHNL_LIMITS.queuePairs;
  return (rx_queues !== 0 || tx_queues !== 0) && rx_queues < end && tx_queues < end;
}

/** ENABLE_QUEUES. A queue without a context cannot run. */
function enableQueues(state: VfState, selection: Selection): Answer {
  if (!isSelection(selection)) return param;
  const done = setEnabled(state, state.rx, selection.rx_queues, true);
  if (!done || !setEnabled(state, state.tx, selection.tx_queues, true)) return param;
  state.pf.queuesEnabled = true;
  return success;
}

/** DISABLE_QUEUES. */
function disableQueues(state: VfState, payload: Uint8Array): Answer {
  const { pf, tx, rx } = state;
  const selection = VirtchnlQueueSelect.decode(payload);
  if ((!pf.active && !pf.queuesEnabled) || selection.vsi_id !== pf.vsiId) return param;
  if (!isSelection(selection)) return param;
  const done = setEnabled(state, tx, selection.tx_queues, false);
  if (!done || !setEnabled(state, rx, selection.rx_queues, false)) return param;
  if (![...tx, ...rx].some(({ enabled }) => enabled)) pf.queuesEnabled = false;
  return success;
}

function setEnabled({ pf }: VfState, queues: readonly TxQueue[], map: number, enabled: boolean): boolean {
  for (const index of queuesOf(map)) {
    const queue = queues[index]!;
    if (index >= pf.queuePairs || (enabled && !queue.configured)) return false;
    queue.enabled = enabled;
  }
  return true;
}

/** REQUEST_QUEUES: when granted, the VF is reset and gets no answer; else it is told how many it can have. */
function requestQueues({ pf }: VfState, payload: Uint8Array): Answer {
  const { num_queue_pairs: wanted } = VirtchnlVfResRequest.decode(payload);
  const most = Math.min(VIRTCHNL_LIMITS.queuePairs, pf.vectors - 1);
  if (wanted === 0 || wanted > most)
    return successWith(VirtchnlVfResRequest.encode({ num_queue_pairs: wanted === 0 ? 0 : most }));
  pf.queuePairs = wanted;
  return { ...success, reset: 'notify' };
}

export const QUEUE_HANDLERS = {
  CONFIG_VSI_QUEUES: forVsi(
    (payload) => {
      const { head, items } = VirtchnlVsiQueueConfig.decode(payload);
      const pairs = items.map(({ txq, rxq }) => ({
        txq: VirtchnlTxqInfo.decode(txq),
        rxq: VirtchnlRxqInfo.decode(rxq),
      }));
      return { vsiId: head.vsi_id, pairs };
    },
    ({ vsiId }) => vsiId,
    configVsiQueues,
  ),
  CONFIG_IRQ_MAP: whenActive(configIrqMap),
  ENABLE_QUEUES: forVsi(
    (payload) => VirtchnlQueueSelect.decode(payload),
    ({ vsi_id }) => vsi_id,
    enableQueues,
  ),
  DISABLE_QUEUES: disableQueues,
  REQUEST_QUEUES: whenActive(requestQueues),
} as const;
