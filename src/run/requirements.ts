import { type CapabilitySet, capabilityNames } from '../machines/index.js';
import { type Case, optionalCallOf, type Step, type Suite } from '../suite/index.js';
import type { Target } from '../target/target.js';
import { type Device, refusalOf } from '../uapi/device.js';
import type { OptionalCall } from '../uapi/optional-call.js';
import { VFIO_PCI_CONFIG_REGION } from '../uapi/pci.js';

/** What neither the interface nor the device has a form for. */
export async function lacking(target: Target, device: Device): Promise<Set<OptionalCall>> {
  const lacks = new Set(target.lacks);
  if (!device.offersReset) lacks.add('reset');
  if (device.dmaLogging === null) lacks.add('dma_logging');
  // What is read is configuration space; a device that is none of PCI has no such region.
  const read = async () => device.readRegion(VFIO_PCI_CONFIG_REGION, 0, 2);
  if (!lacks.has('read_region') && (await refusalOf(read)) !== null) lacks.add('read_region');
  return lacks;
}

/** Why the suite is for another device, or null. */
export function misfit({ capabilities }: Suite, own: CapabilitySet): string | null {
  const wants = [...capabilities].sort().join(', ');
  const has = capabilityNames(own).sort().join(', ');
  return wants === has ? null : `the suite is for a device with ${wants}, and this one has ${has}`;
}

/** Why a case cannot run, or null. */
export function reasonToSkip(
  { steps }: Case,
  target: Target,
  lacks: ReadonlySet<OptionalCall>,
  hasImage: boolean,
): string | null {
  for (const step of steps) {
    const need = optionalCallOf(step.do);
    if (need !== null && lacks.has(need)) return `the target has no ${need}`;
    if (step.do === 'write' && !hasImage) return "the device's own stream could not be read";
    const reason = step.do === 'scenario' ? reasonAgainst(step, target) : null;
    if (reason !== null) return reason;
  }
  return null;
}

function reasonAgainst({ name }: Extract<Step, { do: 'scenario' }>, { guest }: Target): string | null {
  if (guest === null) return 'the target has no guest to migrate';
  return guest.scenarios.includes(name) ? null : `the target's guest has no scenario ${name}`;
}
