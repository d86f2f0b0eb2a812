/** A mistake that was made in code that migrates devices, and what stands for it here. */
export interface KnownBug {
  /** Driver or part of the kernel. */
  readonly where: string;
  readonly what: string;
  /** Names of faults. */
  readonly faults?: readonly string[];
  /** Scenarios of the guest's that show it on an `e810-vf` of the personality `published`. */
  readonly published?: { readonly generation: 'a' | 'b'; readonly scenarios: readonly string[] };
  /** Why nothing stands for it. */
  readonly unseen?: string;
}

const KERNEL_MEMORY = 'Memory of the kernel: user space sees nothing of it, or a crash of the whole kernel.';
const UNDEFINED = 'Undefined values inside the kernel: what they come to depends on what lay there.';

/** What was seen, driver by driver. */
export const KNOWN_BUGS: readonly KnownBug[] = [
  { where: 'hisi', what: 'reads in pieces begin at the buffer each time', faults: ['read-restarts'] },
  { where: 'hisi', what: 'halves of an event queue address are swapped', faults: ['halves-swapped'] },
  {
    where: 'hisi, ice',
    what: 'interrupts that were pending at the stop are not raised again',
    unseen:
      'Interrupts pass by what is wrapped. The published personalities of the VF lose them, and its driver counts what it had to look for; how soon it does depends on the traffic.',
  },
  { where: 'hisi', what: 'references to data_fds remain at close', faults: ['fd-outlives-reset'] },
  { where: 'hisi', what: 'a VF without a driver carries addresses of zero', faults: ['load-writes-memory'] },
  { where: 'hisi', what: 'a second migration is not checked', faults: ['second-load-ignored'] },
  { where: 'hisi, qat, mtty', what: '0 at the temporary end of data', faults: ['zero-at-temporary-end'] },
  {
    where: 'hisi',
    what: 'a reset that runs into that of the whole device takes for ever',
    unseen: 'A call without an answer: whoever calls gives up at some time, and no rule says when.',
  },
  { where: 'hisi', what: 'the deferred reset and the state race', faults: ['state-races-reset'] },
  {
    where: 'mtty, hisi',
    what: 'bytes that were refused are loaded all the same',
    unseen: 'Shows only where RESUMING is left after a refused write, which a VMM must not do; VFIO-SES-10.',
  },
  {
    where: 'hisi',
    what: 'EFAULT where a header is not compatible',
    unseen: 'No text says which error number it has to be.',
  },
  { where: 'pds', what: 'a region is taken to begin at zero', faults: ['report-shifted-by-start'] },
  {
    where: 'pds',
    what: 'a reset does not release the files of a session',
    faults: ['file-left-by-reset', 'fd-outlives-reset'],
  },
  { where: 'pds', what: 'the dirty log ends with the save', faults: ['log-ends-with-save'] },
  { where: 'pds', what: 'memory of a region leaks on an error', unseen: KERNEL_MEMORY },
  { where: 'mlx5', what: 'tracking is not cleaned up after PRE_COPY', faults: ['pre-copy-once'] },
  { where: 'mlx5', what: 'EREMOTEIO of SAVE is handed on', faults: ['read-odd-error'] },
  { where: 'mlx5', what: 'precopy info in a wrong state', faults: ['precopy-info-everywhere'] },
  { where: 'mlx5', what: 'a tracker larger than the longest message', faults: ['tracker-too-small'] },
  { where: 'mlx5', what: 'flags in one word, changed without a lock', faults: ['reset-lost'] },
  { where: 'mlx5', what: 'freed pages stay mapped after an error', unseen: KERNEL_MEMORY },
  { where: 'mlx5', what: 'an error of PRE_COPY ends the migration', faults: ['pre-copy-read-fails'] },
  {
    where: 'mlx5, virtio, qat',
    what: 'no count at the arc that ends a load',
    faults: ['truncation-unnoticed'],
  },
  { where: 'qat', what: 'banks in an exception state are not restored', faults: ['resumed-dead'] },
  { where: 'xe', what: 'a file object is used after it was freed', unseen: KERNEL_MEMORY },
  { where: 'iova_bitmap', what: 'bits across the edge of a page', faults: ['report-lost-at-page-edge'] },
  { where: 'iova_bitmap', what: 'the offset in the first page', faults: ['report-shifted'] },
  { where: 'VT-d', what: 'the flag for dirty tracking is not set', faults: ['report-clean'] },
  { where: 'type1', what: 'a bitmap is freed wrongly on an error', unseen: KERNEL_MEMORY },
  { where: 'VFIO core', what: 'flags of the precopy info are echoed', faults: ['precopy-flags-echoed'] },
  {
    where: 'QEMU',
    what: 'an error after STOP_COPY does not end the migration',
    unseen: 'A mistake of the VMM: VFIO-FSM-13 and VMM-DST-05 judge it, in traces of real hosts.',
  },

  {
    where: 'ice, record and replay',
    what: 'the save file always has 128 KiB',
    faults: ['stream-padded'],
    published: { generation: 'a', scenarios: ['cut'] },
  },
  {
    where: 'ice, record and replay',
    what: 'the file stays attached until the state is loaded',
    faults: ['fd-attached-after-resuming'],
    published: { generation: 'a', scenarios: ['late-bytes'] },
  },
  {
    where: 'ice, record and replay',
    what: 'the load runs without a look at whether all has come',
    faults: ['truncation-unnoticed', 'late-load'],
    published: { generation: 'a', scenarios: ['cut', 'foreign', 'fewer-queues'] },
  },
  {
    where: 'ice, record and replay',
    what: 'requests beyond the 1000th are refused',
    published: { generation: 'a', scenarios: ['long-life'] },
  },
  {
    where: 'ice, record and replay',
    what: 'hash fields and other settings are not recorded',
    published: { generation: 'a', scenarios: ['settings'] },
  },
  {
    where: 'ice, record and replay',
    what: 'the Tx head is restored by way of guest memory',
    faults: ['load-writes-memory'],
  },
  { where: 'ice, record and replay', what: 'a message is used after it was freed', unseen: KERNEL_MEMORY },
  {
    where: 'ice, both',
    what: 'a source that was stopped has no file to load from',
    faults: ['no-way-back'],
    published: { generation: 'a', scenarios: ['paused', 'cancelled'] },
  },
  {
    where: 'ice, TLV',
    what: 'filters and queues do not come back on the way up',
    faults: ['not-unsuspended'],
    published: { generation: 'b', scenarios: ['paused'] },
  },
  {
    where: 'ice, both',
    what: 'the result of the suspend command is not looked at',
    faults: ['suspend-ignored'],
    published: { generation: 'b', scenarios: ['there-and-back'] },
  },
  { where: 'ice, TLV', what: 'all is saved in the suspend command', faults: ['saved-at-p2p'] },
  {
    where: 'ice, TLV',
    what: 'the list of records is used up by the first save',
    faults: ['save-once'],
    published: { generation: 'b', scenarios: ['cancelled'] },
  },
  {
    where: 'ice, TLV',
    what: 'the length of the file begins at the full buffer and grows with each write',
    faults: ['truncation-unnoticed'],
    published: { generation: 'b', scenarios: ['cut'] },
  },
  {
    where: 'ice, TLV',
    what: 'errors of the load show after the source has stopped',
    faults: ['late-load'],
    published: { generation: 'b', scenarios: ['foreign', 'other-generation'] },
  },
  {
    where: 'ice, TLV',
    what: 'Rx tail holds the offset of its register',
    published: { generation: 'b', scenarios: ['ring-start'] },
  },
  {
    where: 'ice, TLV',
    what: 'promiscuity has no record',
    published: { generation: 'b', scenarios: ['settings'] },
  },
  { where: 'ice, TLV', what: 'the bound of MSI-X vectors is one too high', unseen: UNDEFINED },
  { where: 'ice, TLV', what: 'the index of the VLAN list is not set', unseen: UNDEFINED },
  { where: 'ice, TLV', what: 'the Tx head is wrong when memory is short', unseen: UNDEFINED },
  { where: 'ice, TLV', what: 'lengths of records are not checked', unseen: UNDEFINED },
  { where: 'ice, both', what: 'a file is freed twice when STOP_COPY fails', unseen: KERNEL_MEMORY },
];
