import { MIGRATION_FLAGS } from '../uapi/vfio.js';

/**
 * The optional parts of the migration uAPI that a device has. STOP_COPY is not among them: a device
 * that migrates has it.
 */
export interface CapabilitySet {
  readonly p2p: boolean;
  readonly preCopy: boolean;
}

/** All four, in the order of their flags 1, 3, 5, 7. */
export const CAPABILITY_SETS: readonly CapabilitySet[] = [
  { p2p: false, preCopy: false },
  { p2p: true, preCopy: false },
  { p2p: false, preCopy: true },
  { p2p: true, preCopy: true },
];

/** The set that `VFIO_DEVICE_FEATURE_MIGRATION` flags announce; bits beyond the header's are ignored. */
export function capabilitiesOfFlags(flags: number): CapabilitySet {
  return CAPABILITY_SETS[(flags & MIGRATION_FLAGS.P2P ? 1 : 0) + (flags & MIGRATION_FLAGS.PRE_COPY ? 2 : 0)]!;
}

/** The flags of a set. */
export function flagsOfCapabilities(caps: CapabilitySet): number {
  return (
    MIGRATION_FLAGS.STOP_COPY |
    (caps.p2p ? MIGRATION_FLAGS.P2P : 0) |
    (caps.preCopy ? MIGRATION_FLAGS.PRE_COPY : 0)
  );
}

/** Names as the command line and reports spell them: `stop-copy`, `p2p`, `pre-copy`. */
export function capabilityNames(caps: CapabilitySet): string[] {
  return ['stop-copy', ...(caps.p2p ? ['p2p'] : []), ...(caps.preCopy ? ['pre-copy'] : [])];
}

/**
 * The set with these names. `stop-copy` may be left out.
 * @throws RangeError naming the unknown name and the known ones
 */
export function capabilitySet(names: readonly string[]): CapabilitySet {
  for (const name of names)
    if (!['stop-copy', 'p2p', 'pre-copy'].includes(name))
      throw new RangeError(`unknown capability '${name}'; there are stop-copy, p2p and pre-copy`);
  return capabilitiesOfFlags(
    (names.includes('p2p') ? MIGRATION_FLAGS.P2P : 0) |
      (names.includes('pre-copy') ? MIGRATION_FLAGS.PRE_COPY : 0),
  );
}
