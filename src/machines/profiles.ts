/**
 * Known deviations of implementations from the uAPI, as data: with a profile chosen, a verdict can say
 * "differs, as this implementation is known to", and the finding becomes a note. The name `uapi` stands
 * for no deviation at all.
 */
export interface Profile {
  readonly name: string;
  readonly title: string;
  /** By rule id: how the implementation differs. */
  readonly deviations: Readonly<Record<string, string>>;
}

const UNCOUNTED = 'RESUMING to STOP does not count what was written';
const FLAG_IGNORED = 'the log flag of a ring is not looked at: its used part is logged while LOG_ALL is on';
const PAYLOAD_UNMARKED = 'LOG_ALL is offered, and the payload of packets for the guest is never marked';
const ZERO_AT_TEMPORARY_END = 'reads at the temporary end of PRE_COPY data give 0';

/** Every implementation whose deviations are known. */
export const PROFILES: readonly Profile[] = [
  {
    name: 'libvfio-user',
    title: 'libvfio-user and servers built on it, such as SPDK',
    deviations: {
      'VFIO-PRE-01': 'MIG_DATA_READ answers size 0 at the temporary end; the protocol has no ENOMSG',
      'VFIO-PRE-03': 'the protocol has no precopy info',
      'VFIO-DMA-01': 'a second LOGGING_START with the same page size succeeds',
      'VFIO-DMA-04': 'num_ranges and ranges of LOGGING_START are ignored; vfio-user defines 0 as all',
      'VFIO-DMA-05': 'any page size but zero is taken',
      'VFIO-DMA-06': 'any power of two is taken as page size',
      'VFIO-RST-01': 'DEVICE_RESET does not touch the migration state',
      'VFIO-FSM-10': 'the state survives a lost connection',
    },
  },
  {
    name: 'mtty',
    title: 'mtty, the sample driver of the kernel (Linux 7.2)',
    deviations: {
      'VFIO-PRE-01': ZERO_AT_TEMPORARY_END,
      'VFIO-SES-10': 'a header that was refused with EFAULT is part of the buffer all the same',
      'VFIO-FSM-10': 'the state survives close and open',
      'VFIO-DMA-01': 'a second DMA_LOGGING_START succeeds',
      'VFIO-DMA-02': 'the device does no DMA, and its empty log can be read at any time',
      'VFIO-DMA-03': 'DMA_LOGGING_STOP without START succeeds',
      'VFIO-DMA-05': 'DMA_LOGGING_START takes any page size',
    },
  },
  { name: 'hisi_acc', title: 'hisi_acc_vfio_pci', deviations: { 'VFIO-PRE-01': ZERO_AT_TEMPORARY_END } },
  {
    name: 'qat',
    title: 'qat_vfio_pci',
    deviations: { 'VFIO-PRE-01': ZERO_AT_TEMPORARY_END, 'VFIO-SES-15': UNCOUNTED },
  },
  {
    name: 'mlx5',
    title: 'mlx5_vfio_pci',
    deviations: {
      'VFIO-SES-10': 'RESUMING to STOP does not look at what was written',
      'VFIO-SES-15': UNCOUNTED,
    },
  },
  {
    name: 'libvhost-user',
    title: 'libvhost-user of QEMU and back ends built on it',
    deviations: {
      'VHOST-LOG-04': FLAG_IGNORED,
      'VHOST-LOG-05': FLAG_IGNORED,
      'VHOST-LOG-06': FLAG_IGNORED,
      'VHOST-LOG-07': 'writes of used->flags are not marked',
      'VHOST-LOG-08': 'writes of the avail event are not marked',
    },
  },
  {
    name: 'vhost-vsock',
    title: 'vhost_vsock of the kernel (Linux 7.2)',
    deviations: {
      'VHOST-LOG-01': PAYLOAD_UNMARKED,
      'VHOST-LOG-02': PAYLOAD_UNMARKED,
      'VHOST-LOG-03': PAYLOAD_UNMARKED,
      'VHOST-LOG-11': PAYLOAD_UNMARKED,
      'VHOST-LOG-18': PAYLOAD_UNMARKED,
    },
  },
];

/** How an implementation is known to differ from a rule, or undefined. */
export function profileDeviation(profile: string, rule: string): string | undefined {
  return PROFILES.find(({ name }) => name === profile)?.deviations[rule];
}
