import type { DmaLogging } from '../../uapi/device.js';
import { DirtyRingTracker } from './dirty-ring-tracker.js';
import { DmaLoggingTracker } from './dma-logging-tracker.js';
import { IommuTracker } from './iommu-tracker.js';
import { KvmAutoTracker, KvmManualTracker } from './kvm-log.js';
import type { DirtyTracker, Writers } from './tracker.js';
import { Untracked } from './untracked.js';
import { VhostLogTracker } from './vhost-log.js';

/** What a tracker is made for. */
export interface TrackerOptions {
  /** Pages of guest RAM. */
  pages: number;
  /** Number of vCPUs; 1 unless given. For `kvm-pml` and `kvm-ring`. */
  vcpus?: number | undefined;
  /** Bytes of each dirty ring; 65536 unless given. */
  ringBytes?: number | undefined;
  /** Bytes that an entry of the IOMMU's page table maps; 4096 unless given. */
  entryBytes?: number | undefined;
  /** The devices that log by themselves. For `dma-logging`. */
  devices?: readonly DmaLogging[] | undefined;
}

/** A kind of tracker. */
export interface TrackerKind {
  readonly name: string;
  /** One line for people. */
  readonly description: string;
  readonly writers: Writers;
  make(options: TrackerOptions): DirtyTracker;
}

/** Each kind of tracker, by the name that the command line knows it by. */
export const DIRTY_TRACKERS = [
  {
    name: 'kvm-auto',
    description: 'KVM dirty log; reading it clears and write-protects the pages',
    writers: 'vCPUs',
    make: (options) => new KvmAutoTracker('kvm-auto', options),
  },
  {
    name: 'kvm-manual',
    description: 'KVM dirty log with manual protection; pages are cleared before they are sent',
    writers: 'vCPUs',
    make: (options) => new KvmManualTracker('kvm-manual', { ...options, manualProtect: 'enable' }),
  },
  {
    name: 'kvm-initially-set',
    description: 'KVM dirty log with manual protection; all pages begin dirty and unprotected',
    writers: 'vCPUs',
    make: (options) =>
      new KvmManualTracker('kvm-initially-set', { ...options, manualProtect: 'initially-set' }),
  },
  {
    name: 'kvm-pml',
    description: 'KVM dirty log, filled by page-modification logging of the processor',
    writers: 'vCPUs',
    make: (options) => new KvmAutoTracker('kvm-pml', { ...options, pml: true }),
  },
  {
    name: 'kvm-ring',
    description: 'KVM dirty rings, one a vCPU; a full ring makes the vCPU exit',
    writers: 'vCPUs',
    make: (options) => new DirtyRingTracker('kvm-ring', options),
  },
  {
    name: 'iommu',
    description: 'dirty bits in the page table of the IOMMU (iommufd)',
    writers: 'devices',
    make: (options) => new IommuTracker('iommu', options),
  },
  {
    name: 'dma-logging',
    description: 'devices log their DMA by themselves (VFIO device DMA logging)',
    writers: 'devices',
    make: ({ pages, devices = [] }) => new DmaLoggingTracker('dma-logging', { pages, devices }),
  },
  {
    name: 'vhost-log',
    description: 'a shared bitmap that vhost back ends write',
    writers: 'devices',
    make: (options) => new VhostLogTracker('vhost-log', options),
  },
  {
    name: 'none',
    description: 'no tracking: every page counts as dirty at every sync',
    writers: 'all',
    make: () => new Untracked('none'),
  },
] as const satisfies readonly TrackerKind[];

export type TrackerName = (typeof DIRTY_TRACKERS)[number]['name'];

/**
 * Makes a tracker by its name.
 * @throws RangeError when no tracker has this name, or an option cannot be; DeviceError when KVM would refuse
 */
export function dirtyTracker(name: string, options: TrackerOptions): DirtyTracker {
  const kind = DIRTY_TRACKERS.find((one) => one.name === name);
  if (kind === undefined) {
    const names = DIRTY_TRACKERS.map((one) => one.name).join(', ');
    throw new RangeError(`no dirty tracker is called ${name}; there are ${names}`);
  }
  return kind.make(options);
}
