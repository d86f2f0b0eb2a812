import {
  VIRTCHNL_OPS,
  VirtchnlIrqMap,
  type VirtchnlOp,
  VirtchnlRxqInfo,
  VirtchnlTxqInfo,
  VirtchnlVsiQueueConfig,
} from 'stopcopy/uapi';
import type { PfState } from '../vf-state.js';

/**
 * Requests that begin with a VSI number. The published patches do not know CONFIG_RSS_HFUNC, which is younger
 * than they are; without it the operation would fail after a migration.
 */
const BEGIN_WITH_IT: ReadonlySet<number> = new Set(
  (
    [
      'ENABLE_QUEUES',
      'DISABLE_QUEUES',
      'ADD_ETH_ADDR',
      'DEL_ETH_ADDR',
      'ADD_VLAN',
      'DEL_VLAN',
      'CONFIG_PROMISCUOUS_MODE',
      'GET_STATS',
      'CONFIG_RSS_HFUNC',
      'CONFIG_RSS_KEY',
      'CONFIG_RSS_LUT',
      'ADD_FDIR_FILTER',
      'DEL_FDIR_FILTER',
    ] satisfies VirtchnlOp[]
  ).map((name) => VIRTCHNL_OPS[name]),
);

/** Where the VSI numbers stand in a request. */
function* placesOf(opcode: number, payload: Uint8Array): Generator<number> {
  if (BEGIN_WITH_IT.has(opcode)) yield 0;
  if (opcode === VIRTCHNL_OPS.CONFIG_IRQ_MAP) {
    const { num_vectors } = VirtchnlIrqMap.head.decode(payload);
    for (let index = 0; index < num_vectors; index++) yield VirtchnlIrqMap.sizeFor(index);
  }
  if (opcode === VIRTCHNL_OPS.CONFIG_VSI_QUEUES) {
    yield 0;
    const { num_queue_pairs } = VirtchnlVsiQueueConfig.head.decode(payload);
    for (let index = 0; index < num_queue_pairs; index++) {
      const pair = VirtchnlVsiQueueConfig.sizeFor(index);
      yield pair + VirtchnlTxqInfo.offsets.vsi_id;
      yield pair + VirtchnlTxqInfo.size + VirtchnlRxqInfo.offsets.vsi_id;
    }
  }
}

/**
 * Generation A: a guest that came from another host goes on to use the VSI number of that host. Gives the
 * request with this host's number in its place; during a replay whatever number stands there is replaced.
 * @param payload has passed the length check; it stays as it is
 */
export function withLocalVsiId(
  pf: PfState,
  opcode: number,
  payload: Uint8Array,
  replay: boolean,
): Uint8Array {
  if (pf.guestVsiId === pf.vsiId && !replay) return payload;
  const local = payload.slice();
  const view = new DataView(local.buffer);
  for (const at of placesOf(opcode, payload))
    if (replay || view.getUint16(at, true) === pf.guestVsiId) view.setUint16(at, pf.vsiId, true);
  return local;
}
