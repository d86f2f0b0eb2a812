/** Images of generation B put into a VF: as the published loader does it, and as a whole or not at all. */
import { DeviceError, VIRTCHNL_OP_MAX } from 'stopcopy/uapi';
import type { PfDriver, VfHardware } from './environment.js';
import { type ImageB, recordsOfImageB } from './image-b.js';
import { ImageError } from './image-error.js';
import { looseRecord, type RecordB, type RecordName, type RecordValue } from './image-record.js';
import { isRxdid } from './pf/resources.js';
import {
  putHostSettings,
  putItrIndexes,
  putMbxRegs,
  putMsixRegs,
  putNegotiated,
  putQueueState,
  putRss,
  putRxQueue,
  putStats,
  putTxQueue,
  putVfState,
} from './records-to-state.js';
import { defaultVfState } from './save-b.js';
import { newVfState, type VfIdentity, type VfState } from './vf-state.js';

/** A VF as the load of an image changes it. */
export interface LoadTarget {
  readonly state: VfState;
  readonly hardware: VfHardware;
  readonly pf: PfDriver;
}

/**
 * The published loader: looks at all frames, then applies VF_INFO, then the other records in their order. It
 * checks little of them, and what it has applied before an error stays.
 * @param bytes the resume file, zeros behind what was written
 * @throws DeviceError
 */
export function loadPublishedB(bytes: Uint8Array, target: LoadTarget): void {
  const records = [...recordsOfImageB(bytes)];
  const info = records.find(({ layout }) => layout.name === 'VF_INFO');
  if (info === undefined) throw new ImageError('missing', 'EINVAL', 0, 'there is no VF_INFO');
  const value = <N extends RecordName>(record: RecordB) => looseRecord<N>(bytes, record);
  applyVfInfo(value(info), target);
  const { state } = target;
  const msix: RecordValue<'MSIX_REGS'>[] = [];
  for (const record of records) {
    const name = record.layout.name as RecordName;
    if (name === 'TX_QUEUE') putTxQueue(state, value<'TX_QUEUE'>(record));
    if (name === 'RX_QUEUE') applyRxQueue(value<'RX_QUEUE'>(record), state);
    if (name === 'MSIX_REGS') msix.push(applyMsixRegs(value(record), state));
    if (name === 'MBX_REGS') putMbxRegs(state, value(record));
    if (name === 'STATS') putStats(state, value(record));
    if (name === 'RSS') applyRss(value(record), state);
    if (name === 'VLAN_FILTERS') state.pf.vlans.push(...value<'VLAN_FILTERS'>(record).vlans);
    if (name === 'MAC_FILTERS') addMacs(value<'MAC_FILTERS'>(record).macs, state);
  }
  putItrIndexes(state, msix);
  target.hardware.restart();
}

/** Sets what the host has set, resets the VF, and makes the guest's driver known again. */
function applyVfInfo(info: RecordValue<'VF_INFO'>, { state, pf }: LoadTarget): void {
  state.pf.queuePairs = Math.min(info.num_vf_qs, state.tx.length);
  state.pf.vectors = Math.min(info.num_msix, state.dynCtl.length);
  putHostSettings(state, info);
  pf.resetVf();
  putHostSettings(state, info);
  putNegotiated(state, { ...info, virtchnl_op_max: Math.min(info.virtchnl_op_max, VIRTCHNL_OP_MAX) });
}

function applyRxQueue(record: RecordValue<'RX_QUEUE'>, state: VfState): void {
  if (!isRxdid(record.rxdid))
    throw new DeviceError('EOPNOTSUPP', `Rx queue ${record.queue_id} has the RXDID ${record.rxdid}`);
  putRxQueue(state, record);
}

/** The published bound lets one vector too many pass. */
function applyMsixRegs(regs: RecordValue<'MSIX_REGS'>, state: VfState): RecordValue<'MSIX_REGS'> {
  if (regs.vector_id > state.pf.vectors)
    throw new DeviceError('EINVAL', `the image has registers of vector ${regs.vector_id}`);
  if (regs.vector_id < state.dynCtl.length) putMsixRegs(state, regs);
  return regs;
}

/** Nobody looks at the length of the look-up table. */
function applyRss(record: RecordValue<'RSS'>, state: VfState): void {
  const { length } = state.pf.rss.lut;
  putRss(state, { ...record, lut: Array.from({ length }, (_, at) => record.lut[at] ?? 0) });
}

/** A filter that is there already is no error. */
function addMacs(macs: readonly Uint8Array[], { pf }: VfState): void {
  const key = (mac: Uint8Array) => Buffer.from(mac).toString('hex');
  const known = new Set(pf.macs.map(key));
  for (const mac of macs) {
    if (known.has(key(mac))) continue;
    known.add(key(mac));
    pf.macs.push(mac.slice());
  }
}

/**
 * The guest may have asked for other queue pairs than the VF began with; vectors are the host's.
 * @throws ImageError when the image is of a VF of another size
 */
export function matchVfInfo(info: RecordValue<'VF_INFO'>, { pf }: VfState, offset = 0): void {
  const wrong = (words: string) => new ImageError('mismatch', 'EINVAL', offset, words);
  if (info.num_msix !== pf.vectors)
    throw wrong(`the image is of a VF with ${info.num_msix} vectors, and this one has ${pf.vectors}`);
  if (info.num_vf_qs < 1 || info.num_vf_qs >= pf.vectors)
    throw wrong(
      `the image is of a VF with ${info.num_vf_qs} queue pairs, and this one has at most ${pf.vectors - 1}`,
    );
}

/**
 * The state that an image holds, for a VF of this identity.
 * @throws DeviceError when it is no state that this VF can have
 */
export function stateOfImageB(image: ImageB, identity: VfIdentity): VfState {
  const state = newVfState(identity);
  matchVfInfo(image.vfInfo, state);
  state.pf.queuePairs = image.vfInfo.num_vf_qs;
  putHostSettings(state, image.vfInfo);
  putNegotiated(state, image.vfInfo);
  for (const regs of image.msixRegs) putMsixRegs(state, regs);
  if (image.rss) putRss(state, image.rss);
  state.pf.vlans = image.vlans.map(({ tpid, vid }) => ({ tpid, vid }));
  state.pf.macs = image.macs.map((mac) => mac.slice());
  for (const queue of image.rxQueues) {
    if (!isRxdid(queue.rxdid))
      throw new DeviceError('EINVAL', `the image has Rx queue ${queue.queue_id} with RXDID ${queue.rxdid}`);
    putRxQueue(state, queue);
  }
  for (const queue of image.txQueues) putTxQueue(state, queue);
  putItrIndexes(state, image.msixRegs);
  putMbxRegs(state, image.mbxRegs);
  putStats(state, image.stats);
  for (const queue of image.queueStates ?? []) putQueueState(state, queue);
  putVfState(state, image.vfState ?? { ...defaultVfState(state), guest_vsi_id: identity.vsiId });
  return state;
}
