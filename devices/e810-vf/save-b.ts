/** A VF as an image of generation B. */

import type { ImageB } from './image-b.js';
import { B_NUM_TYPES } from './image-b-layout.js';
import { EXTENDED_NUM_TYPES } from './image-extension-layout.js';
import type { RecordValue } from './image-record.js';
import {
  itrIndexesOf,
  macsOf,
  mbxRegsOf,
  msixRegsOf,
  QUEUE_IDS,
  queueStateOf,
  rssOf,
  rxQueueOf,
  statsOf,
  txQueueOf,
  vfInfoOf,
  vfStateOf,
  vlansOf,
} from './state-to-records.js';
import { type TxQueue, VF_LIMITS, type VfState } from './vf-state.js';

/** What is saved before the filters are removed and the rings stopped. */
export type BeforeStopB = Pick<ImageB, 'vfInfo' | 'msixRegs' | 'rss' | 'vlans' | 'macs'>;

/** The first half of what the published driver saves. */
export function beforeStopB(state: VfState): BeforeStopB {
  return {
    vfInfo: vfInfoOf(state),
    msixRegs: vectorsOf(state).map((vector) => msixRegsOf(state, vector)),
    rss: rssOf(state),
    vlans: vlansOf(state),
    macs: macsOf(state),
  };
}

/** QRX_TAIL of the PF's BAR 0, of the VF's first queue. */
const QRX_TAIL = 0x290000;

/** The published image, with the second half as it is when the rings have stopped. */
export function publishedImageOfStateB(before: BeforeStopB, state: VfState): ImageB {
  return {
    ...before,
    numSupportedTlvs: B_NUM_TYPES,
    rxQueues: queuesOf(state.rx).map(([id, queue]) => ({
      ...rxQueueOf(queue, id),
      // The published source stores where the register is, not what is in it.
      tail: (QRX_TAIL + 4 * id) & 0xffff,
    })),
    txQueues: queuesOf(state.tx).map(([id, queue]) => txQueueOf(queue, id)),
    mbxRegs: mbxRegsOf(state),
    stats: statsOf(state),
  };
}

/** All of the state: further records carry what does not follow from the published ones. */
export function completeImageOfStateB(state: VfState): ImageB {
  const vfState = vfStateOf(state);
  const queueStates = QUEUE_IDS.map((id) => queueStateOf(state, id)).filter((record) =>
    tellsMore(state, record),
  );
  const followsFrom = defaultVfState(state);
  const needed = JSON.stringify(vfState) !== JSON.stringify(followsFrom);
  return {
    ...beforeStopB(state),
    numSupportedTlvs: needed || queueStates.length > 0 ? EXTENDED_NUM_TYPES : B_NUM_TYPES,
    msixRegs: allVectorsOf(state).map((vector) => msixRegsOf(state, vector)),
    rxQueues: QUEUE_IDS.filter((id) => state.rx[id]!.configured).map((id) => rxQueueOf(state.rx[id]!, id)),
    txQueues: QUEUE_IDS.filter((id) => state.tx[id]!.configured).map((id) => txQueueOf(state.tx[id]!, id)),
    mbxRegs: mbxRegsOf(state),
    stats: statsOf(state),
    ...(needed ? { vfState } : {}),
    ...(queueStates.length > 0 ? { queueStates } : {}),
  };
}

/** The VSI number of every VF since ice hands out only one. */
const CONSTANT_VSI = 1;

/** What VF_STATE would hold if an image has none: state bits follow from the queues, the rest is a reset's. */
export function defaultVfState({ tx, rx }: VfState): RecordValue<'VF_STATE'> {
  return {
    icr01: 0,
    icr0_ena: 0,
    pending: [0, 0, 0],
    guest_vsi_id: CONSTANT_VSI,
    rstat: 2,
    flags: {
      init: true,
      queues_enabled: [...tx, ...rx].some(({ enabled }) => enabled),
      disabled: false,
      unicast_promisc: false,
      multicast_promisc: false,
    },
  };
}

/** Vectors of the VF, the mailbox's first. */
function vectorsOf({ pf }: VfState): number[] {
  return Array.from({ length: pf.vectors }, (_, vector) => vector);
}

/** And those beyond whose registers somebody has written. */
function allVectorsOf(state: VfState): number[] {
  const beyond = Array.from({ length: VF_LIMITS.vectors }, (_, vector) => vector).filter(
    (vector) =>
      vector >= state.pf.vectors &&
      (state.dynCtl[vector] !== 0 || state.itr.some((intervals) => intervals[vector] !== 0)),
  );
  return [...vectorsOf(state), ...beyond];
}

/** Queues that have a ring, with their numbers. */
function queuesOf<Q extends TxQueue>(queues: readonly Q[]): [number, Q][] {
  return queues.flatMap((queue, id): [number, Q][] =>
    queue.configured && queue.base !== 0 ? [[id, queue]] : [],
  );
}

/** Whether something of a queue pair does not follow from its queue records and those of its vectors. */
function tellsMore(state: VfState, record: RecordValue<'QUEUE_STATE'>): boolean {
  const [tx, rx] = [state.tx[record.queue_id]!, state.rx[record.queue_id]!];
  const unlike = (queue: TxQueue, tail: number, itr: number) =>
    queue.configured
      ? queue.tail !== tail || queue.itr !== itr
      : queue.enabled || queue.tail !== 0 || queue.itr !== 0 || queue.vector !== null;
  const itr = (queue: TxQueue, of: 'tx' | 'rx') => {
    const known = queue.vector !== null && allVectorsOf(state).includes(queue.vector);
    return known ? itrIndexesOf(state, queue.vector!)[of] : 0;
  };
  return unlike(tx, tx.head, itr(tx, 'tx')) || unlike(rx, rx.tail, itr(rx, 'rx'));
}
