/** A VF as an image of generation A. */
import type { ImageA } from './image-a.js';
import type { ExtensionA } from './image-a-extension.js';
import { A_QUEUES } from './image-a-layout.js';
import { QUEUE_IDS, queueStateOf, rssOf, statsOf, vfInfoOf, vfStateOf } from './state-to-records.js';
import type { VfState } from './vf-state.js';

/** Interrupt registers, which stopping the rings changes. */
export type InterruptRegisters = Pick<VfState, 'dynCtl' | 'itr'>;

/** A copy of the interrupt registers as they are now. */
export function interruptRegistersOf({ dynCtl, itr }: InterruptRegisters): InterruptRegisters {
  return { dynCtl: dynCtl.slice(), itr: itr.map((each) => each.slice()) };
}

/**
 * What the published driver saves.
 * @param interrupts as they were before the rings were stopped; all else is as it is now
 */
export function imageOfStateA(state: VfState, interrupts: InterruptRegisters = state): ImageA {
  const { atq, arq, tx, rx, pf } = state;
  const byQueue = (value: (id: number) => number) =>
    Array.from({ length: A_QUEUES }, (_, id) => (id < QUEUE_IDS.length ? value(id) : 0));
  return {
    vf_caps: pf.caps,
    num_txq: pf.queuePairs,
    num_rxq: pf.queuePairs,
    int_dyn_ctl: [...interrupts.dynCtl],
    int_intr: interrupts.itr.map((each) => [...each]),
    asq_bal: atq.bal,
    asq_bah: atq.bah,
    asq_len: atq.len,
    asq_head: atq.head,
    asq_tail: atq.tail,
    arq_bal: arq.bal,
    arq_bah: arq.bah,
    arq_len: arq.len,
    arq_head: arq.head,
    arq_tail: arq.tail,
    rx_tail: byQueue((id) => (rx[id]!.enabled ? rx[id]!.tail : 0)),
    vsi_id: pf.guestVsiId,
    rx_head: byQueue((id) => rx[id]!.head),
    // QTX_COMM_HEAD names the last descriptor that is done, or a marker; what is saved is the one behind it.
    tx_head: byQueue((id) => tx[id]!.head),
    messages: pf.log.map(({ opcode, payload }) => ({ opcode, payload: payload.slice() })),
  };
}

/** The same with what a replay does not bring back. */
export function completeImageOfStateA(state: VfState): ImageA {
  const extension: ExtensionA = {
    vfInfo: vfInfoOf(state),
    rss: rssOf(state),
    stats: statsOf(state),
    vfState: vfStateOf(state),
    queueStates: QUEUE_IDS.filter((id) => isUsed(state, id)).map((id) => queueStateOf(state, id)),
  };
  return { ...imageOfStateA(state), extension };
}

/** Whether a queue pair differs from what a reset leaves. */
function isUsed({ tx, rx }: VfState, id: number): boolean {
  return [tx[id]!, rx[id]!].some(
    (queue) =>
      queue.configured || queue.enabled || queue.tail !== 0 || queue.itr !== 0 || queue.vector !== null,
  );
}
