import { deviceFactory, vhostFactory } from 'stopcopy/devices';
import { Chronicle, type EventSink } from '../../migrate/chronicle.js';
import { dirtyTracker } from '../../migrate/dirty/index.js';
import { DEFAULT_PARAMETERS, type MigrationParameters } from '../../migrate/parameters.js';
import { GuestRam } from '../../migrate/ram/index.js';
import { memoryMap, VirtualMachine, type VmDeviceOptions } from '../../migrate/virtual-machine.js';
import type { MigrateFlags } from '../commands/migrate.js';
import { UsageError } from '../exit.js';

/** Which side of a migration this process is. */
export type Side = 'source' | 'destination';

const PAGE = 4096;

/** Where devices stand on the PCI bus, from the first slot that QEMU leaves free. */
const slotName = (index: number) => `0000:00:${(4 + index).toString(16).padStart(2, '0')}.0`;

/** Each device by its text, such as `e810-vf?generation=a`, as often as `--vfs` says. */
function deviceTexts({ device, vfs }: MigrateFlags): string[] {
  const texts = (device.length > 0 ? device : ['e810-vf']).filter((text) => text !== 'none');
  return texts.flatMap((text) => Array.from({ length: vfs }, () => text));
}

/**
 * The VM that the options describe.
 * @throws UsageError when they do not make one
 */
export async function makeMachine(
  flags: MigrateFlags,
  side: Side,
  sink: EventSink | null,
): Promise<VirtualMachine> {
  const texts = deviceTexts(flags);
  const { workload: start } = memoryMap(texts.length);
  if (flags.ram % PAGE !== 0 || flags.ram < start + PAGE)
    throw new UsageError(
      `--ram ${flags.ram}: with these devices it must be whole pages of 4096 bytes, and ${start + PAGE} or more`,
    );
  const pages = flags.ram / PAGE;
  const faulty = flags.faultOn === 'both' || flags.faultOn === side;
  const devices = texts.map((text, index) => deviceOf(text, index, flags, faulty));
  const shared = devices.some((device) => 'vhost' in device) ? new Uint8Array(flags.ram) : undefined;
  const ram = new GuestRam(flags.ram, shared === undefined ? {} : { shared });
  if (flags.prealloc) ram.preallocate();
  const vm = new VirtualMachine({
    type: flags.machine,
    ram,
    chronicle: new Chronicle(side, sink),
    devices,
    ...(shared === undefined ? {} : { sharedRam: shared }),
    workload: {
      pagesPerSecond: flags.dirtyRate,
      pages: Math.min(Math.floor(flags.workingSet / PAGE), (flags.ram - start) / PAGE),
      seed: flags.seed,
    },
    cpuTracker: dirtyTracker(flags.cpuDirty, { pages }),
    deviceTracker: (devices) => {
      const logging = devices.flatMap(({ device }) =>
        device.dmaLogging === null ? [] : [device.dmaLogging],
      );
      if (flags.deviceDirty === 'dma-logging' && logging.length < devices.length)
        throw new UsageError(
          '--device-dirty dma-logging: not every device has DMA logging; add --dma-logging',
        );
      return dirtyTracker(flags.deviceDirty, { pages, devices: logging });
    },
  });
  await vm.open();
  return vm;
}

/** A device; its factory, too, may find that options do not go together. */
function deviceOf(text: string, index: number, flags: MigrateFlags, faulty: boolean): VmDeviceOptions {
  const defaults = {
    index,
    seed: flags.seed + index,
    generation: flags.generation,
    personality: flags.personality,
    queuePairs: flags.queues,
    preCopy: flags.precopy === true,
    dmaLogging: flags.dmaLogging === true || flags.deviceDirty === 'dma-logging',
    ...(faulty && flags.fault !== undefined ? { fault: flags.fault } : {}),
  };
  const name = slotName(index);
  const vhost = ofUser(text, () => vhostFactory(text, defaults));
  if (vhost !== null) return { name, vhost: (slot) => ofUser(text, () => vhost(slot)) };
  const factory = ofUser(text, () => deviceFactory(text, defaults));
  return { name, factory: (slot) => ofUser(text, () => factory(slot)) };
}

/** What cannot be made of a device's text is an error of whoever wrote it. */
function ofUser<T>(text: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(`--device ${text}: ${error.message}`);
    throw error;
  }
}

/** Parameters and capabilities of the migration that the options describe. */
export function parametersOf(flags: MigrateFlags): MigrationParameters {
  const capabilities = new Set(flags.capability);
  if (flags.returnPath && !usesFile(flags)) capabilities.add('return-path');
  return {
    ...DEFAULT_PARAMETERS,
    capabilities,
    downtimeLimit: flags.downtimeLimit,
    maxBandwidth: flags.maxBandwidth,
    availSwitchoverBandwidth: flags.availSwitchoverBandwidth,
    multifdChannels: flags.multifdChannels,
    answerTimeout: flags.answerTimeout,
  };
}

/** A file has no way back. */
function usesFile({ to, incoming }: MigrateFlags): boolean {
  return /^(file|exec):/.test(to ?? incoming ?? '');
}
