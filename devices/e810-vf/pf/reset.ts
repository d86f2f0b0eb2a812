import { VFGEN_RSTAT } from 'stopcopy/uapi';
import { newVfState, type PfState, type VfState } from '../vf-state.js';

const freshState = ({ pf }: VfState): VfState =>
  newVfState({ queuePairs: pf.queuePairs, hostMac: pf.hostMac, vsiId: pf.vsiId, trusted: pf.trusted });

/** What the host has set, which no reset takes away. */
const hostSettings = (pf: PfState): Partial<PfState> => ({
  macSetByHost: pf.macSetByHost,
  spoofCheck: pf.spoofCheck,
  linkForced: pf.linkForced,
  linkUp: pf.linkUp,
  portVlan: pf.portVlan,
  minTxRate: pf.minTxRate,
  maxTxRate: pf.maxTxRate,
  vectors: pf.vectors,
  logging: pf.logging,
});

/** First half of a VF reset: the VF is disabled, mailbox, queues and interrupts are off. */
export function startReset(state: VfState): void {
  const { pf } = state;
  const fresh = freshState(state);
  Object.assign(pf, { disabled: true, active: false, init: false, queuesEnabled: false });
  Object.assign(state.atq, fresh.atq);
  Object.assign(state.arq, fresh.arq);
  Object.assign(state, { icr01: 0, icr0Ena: 0, rstat: VFGEN_RSTAT.IN_PROGRESS });
  state.dynCtl.fill(0);
  state.pending.fill(0);
  for (const index of state.itr) index.fill(0);
  for (const [index, queue] of state.tx.entries()) Object.assign(queue, fresh.tx[index]);
  for (const [index, queue] of state.rx.entries()) Object.assign(queue, fresh.rx[index]);
}

/** Second half: what was negotiated is forgotten, the VSI is built anew with the settings of the host. */
export function completeReset(state: VfState): void {
  Object.assign(state.pf, freshState(state).pf, hostSettings(state.pf));
  state.filtersInstalled = true;
  state.rstat = VFGEN_RSTAT.VF_ACTIVE;
}
