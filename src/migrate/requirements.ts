import type { VmStateDescription, VmStateEntry } from '../vmstate/index.js';
import { MigrationError } from './error.js';
import type { MigrationParameters } from './parameters.js';
import type { VirtualMachine } from './virtual-machine.js';

/** One thing that was looked at before a migration. */
export interface Prerequisite {
  /** What must be so, such as `RAM size`. */
  readonly what: string;
  readonly ok: boolean;
  /** What was found; of a prerequisite that is not met also what to do. */
  readonly found: string;
}

/** What source and destination must have in common, by name. */
export type Requirements = Readonly<Record<string, string>>;

/** What this VM needs the other side to have, in words: `0000:00:04.0 queue pairs` is `4`. */
export function requirementsOf(vm: VirtualMachine): Requirements {
  const all: Record<string, string> = { 'machine type': vm.type, 'RAM size': `${vm.ram.size} bytes` };
  all.devices = vm.parts.map(({ name }) => name).join(' ') || 'none';
  for (const { name, machine } of vm.parts) {
    all[`${name} model`] = machine.model;
    for (const [what, value] of Object.entries(machine.requirements)) all[`${name} ${what}`] = String(value);
  }
  return all;
}

/** Holds the destination's side against what the source asks for, one by one. */
export function compareRequirements(source: Requirements, destination: Requirements): Prerequisite[] {
  const names = [...new Set([...Object.keys(source), ...Object.keys(destination)])];
  return names.map((what) => {
    const [here, there] = [source[what] ?? 'nothing', destination[what] ?? 'nothing'];
    const ok = here === there;
    return { what, ok, found: ok ? here : `the source has ${here}, the destination has ${there}` };
  });
}

/**
 * What keeps a VM from being migrated at all: the migration blockers of `hw/vfio/migration.c` and of the
 * capabilities, each with what is the case.
 * @param tracked whether the writes of devices are tracked other than by their own DMA logging
 */
export function blockersOf(
  vm: VirtualMachine,
  { capabilities, multifdChannels }: MigrationParameters,
  tracked: boolean,
): Prerequisite[] {
  const checks: Prerequisite[] = [];
  const check = (what: string, ok: boolean, good: string, bad: string) =>
    checks.push({ what, ok, found: ok ? good : bad });
  for (const { name, device, capabilities: caps } of vm.devices) {
    check(
      `${name} supports migration`,
      (device.flags & 1) !== 0,
      `migration flags 0x${device.flags.toString(16)}`,
      `migration flags 0x${device.flags.toString(16)} lack STOP_COPY: the driver cannot migrate it`,
    );
    check(
      `${name} can be dirty tracked`,
      tracked || device.dmaLogging !== null,
      device.dmaLogging === null ? 'by the IOMMU' : 'by device DMA logging or the IOMMU',
      'no device DMA logging and no IOMMU dirty tracking: use --device-dirty iommu, or a device with DMA logging',
    );
    if (vm.devices.length > 1)
      check(
        `${name} has P2P`,
        caps.p2p,
        'RUNNING_P2P',
        'several devices migrate together only when each has RUNNING_P2P',
      );
  }
  for (const { name, vhost } of vm.virtio) {
    const { blocker } = vhost;
    check(
      `${name} can be dirty tracked`,
      blocker === null,
      'by the vhost log or shadow virtqueues',
      blocker ?? '',
    );
  }
  const vfio = vm.devices.length > 0;
  if (capabilities.has('postcopy-ram'))
    check(
      'post-copy',
      !vfio,
      'no VFIO device',
      'VFIO devices do not support post-copy: leave postcopy-ram out',
    );
  if (capabilities.has('postcopy-ram') && vm.virtio.length > 0)
    check('post-copy', false, '', 'vhost back ends here do not support post-copy: leave postcopy-ram out');
  if (capabilities.has('multifd'))
    check(
      'multifd',
      multifdChannels > 0 && multifdChannels <= 255,
      `${multifdChannels} channels`,
      `${multifdChannels} channels: use --multifd-channels with 1 to 255`,
    );
  if (capabilities.has('switchover-ack'))
    check(
      'switchover-ack',
      capabilities.has('return-path'),
      'return-path is on',
      'switchover-ack needs the capability return-path',
    );
  return checks;
}

/** Prerequisites from their JSON text, as the destination sends them. @throws MigrationError when it is none */
export function readPrerequisites(text: string): Prerequisite[] {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    list = null;
  }
  const is = (each: Partial<Prerequisite> | null) =>
    typeof each?.what === 'string' && typeof each.found === 'string' && typeof each.ok === 'boolean';
  if (Array.isArray(list) && list.every(is)) return list as Prerequisite[];
  throw new MigrationError('the destination sends prerequisites that cannot be read');
}

const MOST_TEXT = 64 << 10;

/** The section, sent before all others, that carries requirements and capabilities to the destination. */
const REQUIREMENTS_STATE: VmStateDescription = {
  name: 'stopcopy/requirements',
  version: 1,
  minimumVersion: 1,
  fields: [
    { name: 'length', type: 'u32' },
    { name: 'text', type: { varray: 'length', of: 'u8', most: MOST_TEXT } },
  ],
};

/** A carrier for requirements and capabilities; `read` says what was loaded into it. */
export class RequirementsState {
  readonly target: { length: number; text: Uint8Array };

  constructor(requirements: Requirements = {}, capabilities: readonly string[] = []) {
    const text = new TextEncoder().encode(JSON.stringify({ requirements, capabilities }));
    this.target = { length: text.length, text };
  }

  get entry(): VmStateEntry {
    return {
      idstr: 'stopcopy/requirements',
      instance: 0,
      description: REQUIREMENTS_STATE,
      target: this.target,
    };
  }

  /** @throws MigrationError when it is not what a source writes */
  read(): { requirements: Requirements; capabilities: string[] } {
    const { requirements, capabilities } = fieldsOf(this.target.text);
    const texts = (values: unknown[]) => values.every((value) => typeof value === 'string');
    if (typeof requirements !== 'object' || requirements === null || !texts(Object.values(requirements)))
      throw new MigrationError('the requirements of the source are not readable');
    if (!Array.isArray(capabilities) || !texts(capabilities))
      throw new MigrationError('the capabilities of the source are not readable');
    return { requirements: requirements as Requirements, capabilities: capabilities as string[] };
  }
}

function fieldsOf(text: Uint8Array): { requirements?: unknown; capabilities?: unknown } {
  try {
    return JSON.parse(new TextDecoder().decode(text)) ?? {};
  } catch {
    return {};
  }
}
