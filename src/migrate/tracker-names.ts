/** Names of the dirty trackers, for who lists them without loading any. `dirty/trackers.ts` makes them. */
export const CPU_TRACKERS = ['kvm-auto', 'kvm-manual', 'kvm-initially-set', 'kvm-pml', 'kvm-ring'] as const;
export const DEVICE_TRACKERS = ['iommu', 'dma-logging', 'vhost-log', 'none'] as const;
