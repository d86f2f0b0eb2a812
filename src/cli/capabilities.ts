import { type CapabilitySet, capabilitySet } from '../machines/index.js';
import { UsageError } from './exit.js';

/** The capabilities that an option names, in any case. @throws UsageError for a name that there is not */
export function capabilitiesNamed(names: readonly string[]): CapabilitySet {
  try {
    return capabilitySet(names.map((name) => name.trim().toLowerCase()));
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
