import { isRunning } from '../machines/vfio-arcs.js';
import { ERRNO, errnoName } from '../uapi/errno.js';
import { DMA_LOGGING_MAX_RANGES, DMA_LOGGING_MIN_PAGE_SIZE } from '../uapi/vfio.js';
import { device, vmm } from './example.js';
import type { DeviceView, Rule } from './rule.js';

const d = device();
const v = vmm();
const start = (fields: object = {}) => d.event('dma_logging_start', { errno: 0, ...fields });
const stop = d.event('dma_logging_stop', { errno: 0 });
const report = (fields: object = {}) => d.event('dma_logging_report', { errno: 0, ...fields });

/** Device DMA logging, and the VMM's dirty tracking around it. */
export const DMA_LOGGING_RULES: readonly Rule[] = [
  {
    id: 'VFIO-DMA-01',
    title: 'no second START before STOP',
    party: 'driver',
    level: 'must',
    clause: 'uapi/dma-start',
    about: 'DMA_LOGGING_START is refused while logging is on.',
    causes: 'The driver replaces the tracker and loses what the old one had logged.',
    needs: ['dma_logging_start'],
    refusal: {
      machine: 'dma-logging',
      event: /^START\.ok$/,
      exercisedBy: /^START/,
      message: () => 'a second DMA_LOGGING_START succeeded while logging was on',
    },
    conformant: [...d.open(), start(), d.event('dma_logging_start', { errno: 22 }), stop, start()],
    violating: [...d.open(), start(), start()],
  },
  {
    id: 'VFIO-DMA-02',
    title: 'REPORT without START fails',
    party: 'driver',
    level: 'must',
    clause: 'uapi/dma-report',
    about:
      'DMA_LOGGING_REPORT is refused while logging is off: an empty bitmap would pass for "nothing dirty".',
    causes: 'The driver answers from an empty tracker.',
    needs: ['dma_logging_report', 'dma_logging_start'],
    refusal: {
      machine: 'dma-logging',
      event: /^REPORT\.ok$/,
      exercisedBy: /^REPORT/,
      message: () => 'DMA_LOGGING_REPORT succeeded while logging was off',
    },
    conformant: [...d.open(), start(), report(), stop, d.event('dma_logging_report', { errno: 22 })],
    violating: [...d.open(), start(), stop, report()],
  },
  {
    id: 'VFIO-DMA-03',
    title: 'STOP without START',
    party: 'driver',
    level: 'note',
    clause: 'uapi/dma-stop',
    about:
      'DMA_LOGGING_STOP ends what START began. Drivers answer a STOP without START with success or with EINVAL.',
    causes: 'STOP is idempotent in the driver.',
    needs: ['dma_logging_stop'],
    refusal: {
      machine: 'dma-logging',
      event: /^STOP\.ok$/,
      exercisedBy: /^STOP/,
      message: () => 'DMA_LOGGING_STOP succeeded while logging was off',
    },
    conformant: [...d.open(), start(), stop],
    violating: [...d.open(), stop],
  },
  {
    id: 'VFIO-DMA-04',
    title: 'START takes a sensible number of ranges',
    party: 'kernel',
    level: 'must',
    clause: 'core/dma-ranges',
    about: 'DMA_LOGGING_START with no range, or with more than fit a page, is refused by the VFIO core.',
    causes: 'A driver of its own, outside vfio-pci-core, takes the request.',
    needs: ['dma_logging_start'],
    device: (_view, scope) => ({
      dma_logging_start: (event) => {
        if (event.errno === undefined || event.ranges === undefined) return;
        scope.check();
        if (event.errno === 0 && (event.ranges === 0 || event.ranges > DMA_LOGGING_MAX_RANGES))
          scope.fail(event, `DMA_LOGGING_START with ${event.ranges} ranges succeeded`, [
            event.ranges === 0 ? 'EINVAL' : 'E2BIG',
          ]);
      },
    }),
    conformant: [...d.open(), d.event('dma_logging_start', { ranges: 0, errno: 22 }), start({ ranges: 3 })],
    violating: [...d.open(), start({ ranges: 0 })],
  },
  {
    id: 'VFIO-DMA-05',
    title: 'START with an odd page size',
    party: 'driver',
    level: 'note',
    clause: 'core/dma-ranges',
    about:
      'The page size of DMA_LOGGING_START is a hint; one that is no power of two has no meaning, and the core checks alignment by mask only.',
    causes: 'The driver takes the hint without a look at it.',
    needs: ['dma_logging_start'],
    device: (_view, scope) => ({
      dma_logging_start: (event) => {
        if (event.errno !== 0 || !event.pageSize) return;
        scope.check();
        if (!isPowerOfTwo(event.pageSize))
          scope.fail(event, `DMA_LOGGING_START took the page size ${event.pageSize}`);
      },
    }),
    conformant: [...d.open(), start({ pageSize: 4096 })],
    violating: [...d.open(), start({ pageSize: 4097 })],
  },
  {
    id: 'VFIO-DMA-06',
    title: 'REPORT takes a page size of at least 4096',
    party: 'kernel',
    level: 'must',
    clause: 'core/dma-report',
    about: 'DMA_LOGGING_REPORT with a page size below 4096, or one that is no power of two, is refused.',
    causes: 'A server that does not go through the VFIO core.',
    needs: ['dma_logging_report'],
    device: (_view, scope) => ({
      dma_logging_report: (event) => {
        if (event.errno === undefined || event.pageSize === undefined) return;
        scope.check();
        if (
          event.errno === 0 &&
          (event.pageSize < DMA_LOGGING_MIN_PAGE_SIZE || !isPowerOfTwo(event.pageSize))
        )
          scope.fail(event, `DMA_LOGGING_REPORT with page size ${event.pageSize} succeeded`, ['EINVAL']);
      },
    }),
    conformant: [...d.open(), start(), report({ pageSize: 4096 })],
    violating: [...d.open(), start(), report({ pageSize: 512 })],
  },
  {
    id: 'VFIO-DMA-07',
    title: 'tracking that is offered can be read',
    party: 'driver',
    level: 'must',
    clause: 'uapi/probe',
    about: 'A device that answers the probe for DMA_LOGGING_START, and takes START, also answers REPORT.',
    causes:
      'A kernel without CONFIG_IOMMUFD: the bitmap helpers are stubs that give EOPNOTSUPP, though the driver offers logging.',
    needs: ['dma_logging_start', 'dma_logging_report'],
    device: (_view, scope) => ({
      dma_logging_report: (event) => {
        if (event.errno === undefined) return;
        scope.check();
        if (event.errno === ERRNO.EOPNOTSUPP || event.errno === ERRNO.ENOTTY)
          scope.fail(
            event,
            'DMA_LOGGING_REPORT is not supported, though DMA_LOGGING_START was offered and succeeded',
          );
      },
    }),
    conformant: [...d.open(), start(), report()],
    violating: [...d.open(), start(), d.event('dma_logging_report', { errno: 95 })],
  },
  {
    id: 'VFIO-DMA-08',
    title: 'a VMM can start the tracking that its devices offer',
    party: 'driver',
    level: 'must',
    clause: 'uapi/probe',
    about:
      'When every device offers DMA logging, the VMM can start it and read the first bitmap: the set-up of a migration does not fail with "Operation not supported".',
    causes:
      'A kernel without CONFIG_IOMMUFD: START succeeds and REPORT gives EOPNOTSUPP, so QEMU fails every migration at its set-up.',
    needs: ['dirty_tracking_start', 'migration_error', 'capabilities'],
    host: (host, scope) => {
      let offering: string[] = [];
      return {
        dirty_tracking_start: () => {
          offering = [...host.devices.values()].filter((each) => each.dmaLogging).map((each) => each.id);
        },
        dirty_bitmap: () => {
          if (offering.length > 0) scope.check();
          offering = [];
        },
        migration_error: (event) => {
          if (offering.length > 0) scope.check();
          if (/not supported/i.test(event.text))
            for (const id of offering)
              scope.fail(
                event,
                `${id} offers DMA logging, and the first dirty bitmap cannot be read: ${event.text}`,
                ['a bitmap'],
                id,
              );
          offering = [];
        },
      };
    },
    conformant: [
      ...d.open(),
      d.event('capabilities', { dmaLogging: true }),
      v.event('dirty_tracking_start'),
      v.event('dirty_bitmap'),
      v.event('migration_error', { text: 'Unable to write to socket: Broken pipe' }),
    ],
    violating: [
      ...d.open(),
      d.event('capabilities', { dmaLogging: true }),
      v.event('dirty_tracking_start'),
      v.event('migration_error', { text: 'ram_save_setup failed: Operation not supported' }),
    ],
  },
  {
    id: 'VFIO-DMA-09',
    title: 'an error of REPORT is not passed over',
    party: 'vmm',
    level: 'note',
    clause: 'uapi/dma-report',
    about:
      'After an error of DMA_LOGGING_REPORT the log is lost: the VMM treats all memory as dirty, starts anew, or aborts. Whether it marked all memory dirty does not show in a trace.',
    causes: 'The error is logged and the migration goes on.',
    needs: ['dma_logging_report', 'set_state_result'],
    device: (_view, scope) => {
      let failed = false;
      return {
        dma_logging_report: (event) => {
          if (event.errno) {
            failed = true;
            scope.check();
          }
        },
        dma_logging_start: () => {
          failed = false;
        },
        set_state_result: (event) => {
          if (failed && event.state === 'STOP_COPY' && !event.errno)
            scope.fail(event, 'the device goes on to STOP_COPY after a DMA_LOGGING_REPORT that failed');
          failed = false;
        },
      };
    },
    conformant: [...d.open(), start(), d.event('dma_logging_report', { errno: 5 }), ...d.set('RUNNING')],
    violating: [
      ...d.open(),
      start(),
      d.event('dma_logging_report', { errno: 5 }),
      ...d.set('STOP_COPY', true),
    ],
  },
  {
    id: 'VFIO-DMA-10',
    title: 'logging goes on until STOP',
    party: 'driver',
    level: 'should',
    clause: 'uapi/dma-stop',
    about:
      'A report that was answered since DMA_LOGGING_START is answered again until DMA_LOGGING_STOP or a reset, whatever states the device goes through.',
    causes: 'The driver ends its tracker when it leaves STOP_COPY.',
    needs: ['dma_logging_start', 'dma_logging_report'],
    device: (_view, scope) => {
      let on = false;
      const answered = new Set<string>();
      const end = ({ errno = 0 }: { errno?: number | undefined }) => {
        if (errno === 0) on = false;
      };
      return {
        device_open: () => {
          on = false;
        },
        reset: end,
        dma_logging_stop: end,
        dma_logging_start: ({ errno }) => {
          if (errno !== 0) return;
          on = true;
          answered.clear();
        },
        dma_logging_report: (event) => {
          const { iova, length, pageSize, errno } = event;
          const asked = `${iova} ${length} ${pageSize}`;
          if (!on || errno === undefined) return;
          if (answered.has(asked)) {
            scope.check();
            if (errno)
              scope.fail(event, `DMA_LOGGING_REPORT fails with ${errnoName(errno)} and was answered before`, [
                'a bitmap',
              ]);
          } else if (errno === 0 && answered.size < MOST_REPORTS) answered.add(asked);
        },
      };
    },
    conformant: [...d.open(), start(), report(), ...d.set('STOP'), report(), stop],
    violating: [
      ...d.open(),
      start(),
      report(),
      ...d.set('STOP_COPY', true),
      ...d.set('STOP'),
      d.event('dma_logging_report', { errno: 22 }),
    ],
  },
  {
    id: 'VMM-DIRTY-01',
    title: 'dirty tracking starts before PRE_COPY',
    party: 'vmm',
    level: 'note',
    clause: 'qemu/dirty',
    about: 'QEMU starts dirty tracking in the set-up of RAM, before it asks its devices for PRE_COPY.',
    causes: 'Another order of savevm handlers.',
    needs: ['dirty_tracking_start', 'set_state_result', 'migration_status'],
    host: (_host, scope) => {
      let early: string | null = null;
      return {
        migration_status: (event) => {
          if (event.status === 'setup') early = null;
        },
        set_state_result: (event) => {
          if (event.state === 'PRE_COPY' && !event.errno) early ??= event.device;
        },
        dirty_tracking_start: (event) => {
          scope.check();
          if (early !== null) scope.fail(event, `${early} entered PRE_COPY before dirty tracking began`);
        },
      };
    },
    conformant: [
      ...d.open(),
      v.status('setup'),
      v.event('dirty_tracking_start'),
      ...d.call('PRE_COPY', 'RUNNING'),
    ],
    violating: [
      ...d.open(),
      v.status('setup'),
      ...d.call('PRE_COPY', 'RUNNING'),
      v.event('dirty_tracking_start'),
    ],
  },
  {
    id: 'VMM-DIRTY-02',
    title: 'the last dirty bitmap is read after the device has stopped',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/dirty',
    about:
      'Pages that a device wrote until it stopped are in the last bitmap: it is read after the device left the running states, and before the migration is completed (QEMU 11.1: in the final pending query; before: with the last RAM section).',
    causes:
      'A final sync that is skipped, or runs before the devices are stopped: memory that the guest loses.',
    needs: ['dirty_bitmap', 'migration_status', 'set_state_result', 'dirty_tracking_start'],
    host: (host, scope) => {
      let tracking = false;
      let read = false;
      return {
        dirty_tracking_start: () => {
          tracking = true;
          read = allStopped(host.devices.values());
        },
        set_state_result: (event) => {
          if (!event.errno && event.state && isRunning(event.state)) read = false;
        },
        dirty_bitmap: () => {
          if (allStopped(host.devices.values())) read = true;
        },
        migration_status: (event) => {
          if (!tracking || event.status !== 'completed') return;
          tracking = false;
          scope.check();
          if (!read)
            scope.fail(
              event,
              'the migration is completed, and no dirty bitmap was read since the devices stopped',
            );
        },
      };
    },
    conformant: [
      ...d.open(),
      v.event('dirty_tracking_start'),
      ...d.set('STOP_COPY', true),
      v.event('dirty_bitmap'),
      v.status('completed'),
    ],
    violating: [
      ...d.open(),
      v.event('dirty_tracking_start'),
      v.event('dirty_bitmap'),
      ...d.set('STOP_COPY', true),
      v.status('completed'),
    ],
  },
];

/** Most different reports of a device that are remembered. */
const MOST_REPORTS = 256;

/** No device is known to run; one of unknown state is given the benefit of the doubt. */
function allStopped(devices: Iterable<DeviceView>): boolean {
  for (const each of devices) {
    const states = each.states();
    // A device of another interface is in no state of VFIO.
    if (states.length > 0 && states.every(isRunning)) return false;
  }
  return true;
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && Number.isInteger(Math.log2(value));
}
