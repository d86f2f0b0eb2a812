import { createHash } from 'node:crypto';
import { VFINT_DYN_CTL } from 'stopcopy/uapi';
import { withLocalVsiId } from './pf/vsi-id.js';
import type { VfState } from './vf-state.js';

/**
 * A digest of all that a VF is, equal before and after a migration that lost nothing: SHA-256 in hexadecimal.
 * Left out, for they differ though nothing is lost:
 *
 * - the VSI number on this host; logged messages, which name it, count with the number that the guest knows;
 * - whether the switch steers frames to the VF, which suspending takes away and starting gives back;
 * - whether an interrupt that was pending has been sent: a VF that starts sends what its stop held back.
 *
 * The wire is no part of the VF.
 */
export function digestOfVfState(state: VfState): string {
  return createHash('sha256')
    .update(JSON.stringify(comparable(state), plain))
    .digest('hex');
}

function comparable({ filtersInstalled: _, pf, pending, dynCtl, ...rest }: VfState): object {
  const { vsiId, guestVsiId, log, ...pfRest } = pf;
  const asGuest = { ...pf, vsiId: guestVsiId, guestVsiId: vsiId };
  const messages = log.map(({ opcode, payload }) => [opcode, withLocalVsiId(asGuest, opcode, payload, true)]);
  const sent = (vector: number) => pending[vector] === 1 && (dynCtl[vector]! & VFINT_DYN_CTL.INTENA) !== 0;
  const interrupts = Array.from(dynCtl, (control, vector) =>
    sent(vector) ? [control & ~VFINT_DYN_CTL.INTENA, 0] : [control, pending[vector]],
  );
  return { ...rest, interrupts, pf: { ...pfRest, guestVsiId, log: messages } };
}

/** What JSON does not know. Keys keep the order in which `newVfState` makes them, sets are sorted. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Set) return [...(value as Set<number>)].sort((one, other) => one - other);
  if (ArrayBuffer.isView(value)) return Array.from(value as Uint8Array);
  return value;
}
