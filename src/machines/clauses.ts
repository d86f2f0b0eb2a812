import { DIRTY_LOG_CLAUSES } from './clauses-dirty-log.js';
import { VDPA_CLAUSES } from './clauses-vdpa.js';
import { VHOST_CLAUSES } from './clauses-vhost.js';
import { VHOST_USER_CLAUSES } from './clauses-vhost-user.js';

/**
 * The clauses that states, transitions and rules come from: where each stands, and what it says in
 * our words. `uapi` is `include/uapi/linux/vfio.h` of Linux 7.2, section "device migration".
 */
export interface Clause {
  readonly id: string;
  readonly source: string;
  readonly text: string;
}

const UAPI = 'include/uapi/linux/vfio.h (Linux 7.2)';
const CORE = 'drivers/vfio/vfio_main.c (Linux 7.2)';
const QEMU = 'QEMU hw/vfio/migration.c';

const TEXTS = {
  'uapi/flags': [
    UAPI,
    'VFIO_DEVICE_FEATURE_MIGRATION: STOP_COPY is always offered; P2P and PRE_COPY are optional, and no other combination has a meaning.',
  ],
  'uapi/set': [
    UAPI,
    'VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, SET: the driver has fully reached the new state before the call returns.',
  ],
  'uapi/async': [
    UAPI,
    'VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, SET: the state changes only by a request or by VFIO_DEVICE_RESET.',
  ],
  'uapi/set-failed': [
    UAPI,
    'VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, SET: after a failure the device is in the old state or in one along the path of the combination; the user may reset it, go back, or try another state.',
  ],
  'uapi/data-fd': [
    UAPI,
    'VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE: a new state that starts a data transfer session returns its fd in data_fd; the user closes it, keeps the stream opaque and its bytes in order.',
  ],
  'uapi/segmentation': [
    UAPI,
    'VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE: the user need not keep the segmentation of the stream when writing it in RESUMING.',
  ],
  'uapi/get': [UAPI, 'VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, GET: returns the current state, data_fd is -1.'],
  'uapi/stop': [
    UAPI,
    'Arcs to STOP: no interrupts, no DMA, no other change of external or internal state; config space and MSI-X still answer.',
  ],
  'uapi/stop-copy-end': [UAPI, 'Arc STOP_COPY -> STOP: terminates the data transfer session.'],
  'uapi/resuming-stop': [
    UAPI,
    'Arc RESUMING -> STOP: terminates the session; the driver completes and checks the new state, and fails the call when the data is incomplete, inconsistent or invalid.',
  ],
  'uapi/resuming-abort': [UAPI, 'RESUMING: to abort a session the device must be reset.'],
  'uapi/running': [UAPI, 'Arc RUNNING_P2P -> RUNNING: in RUNNING the device is fully operational.'],
  'uapi/running-p2p': [
    UAPI,
    'Arcs to RUNNING_P2P: the device runs, except that it starts no new peer-to-peer DMA.',
  ],
  'uapi/stop-copy': [
    UAPI,
    'Arc STOP -> STOP_COPY: begins saving and returns a new data_fd; the end of the stream means that the whole state was transferred.',
  ],
  'uapi/resuming': [
    UAPI,
    'Arc STOP -> RESUMING: begins restoring and returns a new data_fd; the data comes from a single fd of a compatible device.',
  ],
  'uapi/error': [
    UAPI,
    'any -> ERROR: ERROR cannot be requested; a failed request may lead to it; only VFIO_DEVICE_RESET leaves it, to RUNNING.',
  ],
  'uapi/p2p': [
    UAPI,
    'The P2P quiescent states manage several devices between which peer-to-peer DMA may be active: outstanding operations end before the arc completes.',
  ],
  'uapi/pre-copy': [
    UAPI,
    'Arcs to PRE_COPY and PRE_COPY_P2P from outside the saving group return a new data_fd; the device runs while data about its state can be read.',
  ],
  'uapi/pre-copy-end': [
    UAPI,
    'Arcs from PRE_COPY to RUNNING and from PRE_COPY_P2P to RUNNING_P2P terminate the data transfer session.',
  ],
  'uapi/saving-group': [
    UAPI,
    'Arcs inside the saving group (PRE_COPY, PRE_COPY_P2P, STOP_COPY) keep the data transfer session.',
  ],
  'uapi/no-precopy-again': [UAPI, 'STOP_COPY -> PRE_COPY and STOP_COPY -> PRE_COPY_P2P are blocked.'],
  'uapi/path': [
    UAPI,
    'Combination transitions take the shortest path of arcs; saving-group states are never in its interior, only at its ends.',
  ],
  'uapi/optional': [
    UAPI,
    'Optional states cannot be used with SET_STATE when the device does not offer them.',
  ],
  'uapi/precopy-info': [
    UAPI,
    'VFIO_MIG_GET_PRECOPY_INFO: mandatory with PRE_COPY; used in PRE_COPY and PRE_COPY_P2P, elsewhere it should give EINVAL.',
  ],
  'uapi/precopy-initial': [
    UAPI,
    'VFIO_MIG_GET_PRECOPY_INFO: initial_bytes should be read before leaving PRE_COPY, or downtime grows; it shrinks as data is read, dirty_bytes starts at zero.',
  ],
  'uapi/precopy-eof': [
    UAPI,
    'VFIO_MIG_GET_PRECOPY_INFO: the end of data in PRE_COPY is temporary and read() should give ENOMSG; in STOP_COPY the end is permanent and read() gives 0.',
  ],
  'uapi/precopy-v2': [
    UAPI,
    'VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2: with the opt-in, VFIO_PRECOPY_INFO_REINIT tells that initial_bytes holds new initial data.',
  ],
  'uapi/data-size': [
    UAPI,
    'VFIO_DEVICE_FEATURE_MIG_DATA_SIZE: returns an estimate of the stop-copy data; can be asked in every state.',
  ],
  'uapi/dma-start': [
    UAPI,
    'VFIO_DEVICE_FEATURE_DMA_LOGGING_START: begins logging of the given ranges; a further START while logging is refused.',
  ],
  'uapi/dma-stop': [UAPI, 'VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP: ends what START began.'],
  'uapi/dma-report': [
    UAPI,
    'VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT: reads and clears the log of a range while logging is on; after an error the user treats all memory as dirty, restarts, or aborts.',
  ],
  'uapi/reset': [
    UAPI,
    'VFIO_DEVICE_RESET: returns the device to RUNNING from any state and ends its session.',
  ],
  'uapi/probe': [
    UAPI,
    'VFIO_DEVICE_FEATURE, PROBE: succeeds when the feature is supported with the given GET and SET flags.',
  ],
  'core/next-state': [
    CORE,
    'vfio_mig_get_next_state(): the next arc on the way to the requested state; -EINVAL when there is none.',
  ],
  'core/same-state': [
    CORE,
    'A request for the current state succeeds, changes nothing and returns no data_fd.',
  ],
  'core/dma-ranges': [
    CORE,
    'vfio_ioctl_device_feature_logging_start(): at least one range, at most what fits a page, aligned to the page size, without overlap or wrap.',
  ],
  'core/dma-report': [
    CORE,
    'vfio_ioctl_device_feature_logging_report(): the page size is a power of two of at least 4096, the range does not wrap.',
  ],
  'driver/open': [
    'merged vfio-pci variant drivers',
    'The migration state and session of a device do not survive its last close and a new open.',
  ],
  'driver/undo': [
    'merged vfio-pci variant drivers',
    'A session that is given up leaves the device as it was: it runs again, and further sessions can begin.',
  ],
  'qemu/call-sites': [
    QEMU,
    'The SET_STATE call sites: each asks for one state and names the state to recover to.',
  ],
  'qemu/setter': [
    QEMU,
    'vfio_migration_set_state(): no ioctl for the state QEMU believes in; on failure the recover state, else a reset.',
  ],
  'qemu/two-phase': [
    'QEMU system/runstate.c and hw/vfio/migration.c',
    'A VM stop or start runs all prepare callbacks (P2P states) before all main callbacks.',
  ],
  'qemu/save-order': [
    'QEMU migration/savevm.c',
    'save_setup, then iteration, then the final drain, then the config state, then cleanup.',
  ],
  'qemu/load-order': [
    'QEMU migration/savevm.c',
    'load_setup (RESUMING), then device data, then the config state, then vm_start, then cleanup.',
  ],
  'qemu/rollback': [
    'QEMU migration/migration.c',
    'After a failure or a cancel the devices return to RUNNING through the FAILED notifier; up to 10.x after vm_start and cleanup, in 11.1 before both.',
  ],
  'qemu/status': ['QEMU migration/migration.c', 'The order of MigrationStatus values of one migration.'],
  'qemu/run-state': ['QEMU system/runstate.c', 'The order of RunState values.'],
  'qemu/switchover-ack': [
    'QEMU migration/migration.c and qapi/migration.json, capability switchover-ack',
    'No switchover while an acknowledgement that was asked for is missing, unless the VM is not running.',
  ],
  'qemu/multifd': [
    'QEMU hw/vfio/migration-multifd.c',
    'Device-state packets are numbered without a gap, loaded in order, the config packet last.',
  ],
  'qemu/stream': ['QEMU docs/devel/migration/vfio.rst', 'The records of a VFIO section and their order.'],
  'qemu/postcopy': [
    'QEMU hw/vfio/migration.c',
    'save_prepare refuses post-copy and background snapshots with VFIO devices.',
  ],
  'qemu/dirty': [
    'QEMU migration/ram.c and hw/vfio/listener.c',
    'Dirty tracking starts before the device enters PRE_COPY; the last sync follows the stop of vCPUs and devices.',
  ],
  'qemu/completed': [
    'QEMU migration/migration.c',
    'A migration is completed when every device was drained in STOP_COPY and the destination loaded it all.',
  ],
  'migration/one-vm': [
    'the purpose of live migration',
    'At no time do two hosts run the same VM; after a failure exactly one does.',
  ],
  'migration/memory': [
    'the purpose of live migration',
    'After the switchover guest memory on the destination is what it was on the source when the VM had stopped: each page is sent after its last write.',
  ],
  'migration/device': [
    'the purpose of live migration',
    'After a migration the device goes on where it was stopped: in the same state, with nothing lost and nothing done twice.',
  ],
  ...VHOST_CLAUSES,
  ...VHOST_USER_CLAUSES,
  ...VDPA_CLAUSES,
  ...DIRTY_LOG_CLAUSES,
} as const satisfies Record<string, readonly [string, string]>;

/** The name of a clause, such as `uapi/stop-copy`. */
export type ClauseId = keyof typeof TEXTS;

/** All clauses by id. */
export const CLAUSES: Readonly<Record<ClauseId, Clause>> = Object.fromEntries(
  Object.entries(TEXTS).map(([id, [source, text]]) => [id, { id, source, text }]),
) as Record<ClauseId, Clause>;

/** The meta of a state or transition that comes from this clause. */
export const from = (clause: ClauseId): { clause: ClauseId } => ({ clause });
