import { ERRNO } from '../uapi/errno.js';
import { VHOST_BACKEND_FEATURES } from '../uapi/vhost.js';
import { hasFeature, VIRTIO_FEATURES, VIRTIO_STATUS } from '../uapi/virtio.js';
import type { Rule } from './rule.js';
import { backendFeatures, STATUS, vdpaExample } from './vdpa-example.js';

const d = vdpaExample();
/** Indices of a split ring count modulo this. */
const INDICES = 0x1_0000;
/** Most virtqueues of a device that a rule remembers something about. */
const MOST_RINGS = 1024;

/** Rings of devices behind vhost-vdpa, and their suspend. */
export const VDPA_RING_RULES: readonly Rule[] = [
  {
    id: 'VDPA-RING-01',
    title: 'the size of a ring is a power of two',
    party: 'driver',
    level: 'must',
    clause: 'vdpa/vring-num',
    about: 'SET_VRING_NUM with 0, or with a number that is no power of two, ends with EINVAL.',
    causes: 'The size goes to the device as it comes.',
    needs: ['vring_num'],
    device: (_view, scope) => ({
      vring_num: (event) => {
        if (event.interface !== 'vdpa' || event.errno === undefined || event.num === undefined) return;
        scope.check();
        if (event.errno === 0 && !Number.isInteger(Math.log2(event.num)))
          scope.fail(event, `SET_VRING_NUM took the size ${event.num}`, ['EINVAL']);
      },
    }),
    conformant: [d.open(), d.num(0, 256), d.num(0, 100, 'EINVAL')],
    violating: [d.open(), d.num(0, 100)],
  },
  {
    id: 'VDPA-RING-02',
    title: 'a working ring is not moved',
    party: 'driver',
    level: 'should',
    clause: 'vdpa/vring-change',
    about:
      'SET_VRING_ADDR and SET_VRING_BASE with DRIVER_OK end with EINVAL, unless the device is suspended. Kernels before the check leave it to the driver of the device.',
    causes: 'A kernel before the check, or a driver of its own.',
    needs: ['vdpa_status', 'vdpa_suspend'],
    refusal: {
      machine: 'vdpa-device',
      event: /^ASK\.ring$/,
      where: ({ trace }) => 'errno' in trace && trace.errno === 0,
      message: ({ trace }) =>
        `${call(trace.kind)} succeeded with DRIVER_OK, and the device was not suspended`,
    },
    conformant: [d.open(), ...d.start(), d.suspend(), d.base(0, 7)],
    violating: [d.open(), ...d.start(), d.suspend(), d.resume(), d.base(0, 7)],
  },
  {
    id: 'VDPA-RING-03',
    title: 'a working ring is changed only while the device is suspended',
    party: 'vmm',
    level: 'must',
    clause: 'vdpa/vring-change',
    about:
      'Addresses and index of a ring are set before DRIVER_OK, or while the device is suspended. What was asked in between is not what the device works with.',
    causes: 'The VMM switches rings without a stop.',
    needs: ['vdpa_status', 'vdpa_suspend'],
    refusal: {
      machine: 'vdpa-device',
      event: /^ASK\.ring$/,
      message: ({ trace }) => `${call(trace.kind)} is asked with DRIVER_OK, and the device is not suspended`,
    },
    conformant: [d.open(), ...d.start(), d.suspend(), d.addr(0)],
    violating: [d.open(), ...d.start(), d.addr(0, 'EINVAL'), d.suspend()],
  },
  {
    id: 'VDPA-RING-04',
    title: 'a ring has addresses before it works',
    party: 'vmm',
    level: 'must',
    clause: 'vdpa/before-driver-ok',
    about:
      'A ring that is enabled has addresses when the device gets DRIVER_OK; a reset takes them away, so they are set again for each start.',
    causes: 'The VMM takes the addresses of the last start for granted.',
    needs: ['vdpa_status', 'vring_addr', 'vring_enable'],
    refusal: {
      machine: 'vdpa-vring',
      event: /^(GO|ENABLE\.on)$/,
      message: ({ trace }) =>
        trace.kind === 'vring_enable'
          ? `ring ${trace.index} is enabled on a working device, and has no addresses`
          : 'DRIVER_OK is set while a ring is enabled that has no addresses',
    },
    conformant: [d.open(), ...d.start(), ...d.halt(), ...d.start()],
    violating: [
      d.open(),
      ...d.start(),
      ...d.halt(),
      ...d.negotiate(),
      d.enable(0),
      d.status(STATUS.driverOk),
    ],
  },
  {
    id: 'VDPA-RING-05',
    title: 'a ring that is not enabled is not processed',
    party: 'driver',
    level: 'must',
    clause: 'vdpa/vring-enable',
    about:
      'A device writes nothing for a ring before it has addresses, is enabled, and the device has DRIVER_OK.',
    causes: 'All rings start with DRIVER_OK, also those of a control queue that is not restored yet.',
    needs: ['vdpa_status', 'vhost_write', 'vring_enable', 'vring_addr'],
    refusal: {
      machine: 'vdpa-vring',
      event: /^WRITE\.memory$/,
      message: ({ trace, before }) =>
        `guest memory was written for ring ${'index' in trace ? trace.index : ''}, which was ${before.join(' or ')}`,
    },
    conformant: [d.open(), ...d.start(), d.write(0)],
    violating: [d.open(), ...d.start(), d.enable(0, false), d.write(0)],
  },
  {
    id: 'VDPA-RING-06',
    title: 'rings are enabled after DRIVER_OK only where that is agreed on',
    party: 'vmm',
    level: 'should',
    clause: 'vdpa/vring-enable',
    about:
      'SET_VRING_ENABLE after DRIVER_OK is for devices with the backend feature ENABLE_AFTER_DRIVER_OK. On others it may do nothing, and the ring stays dead.',
    causes: 'Data rings are enabled after the control queue was restored, on a device that cannot have that.',
    needs: ['vdpa_status', 'vring_enable', 'vhost_set_backend_features'],
    refusal: {
      machine: 'vdpa-device',
      event: /^ASK\.enable$/,
      message: () => 'a ring is enabled after DRIVER_OK, and ENABLE_AFTER_DRIVER_OK was not agreed on',
    },
    conformant: [d.open(), d.backend(backendFeatures('ENABLE_AFTER_DRIVER_OK')), ...d.start(), d.enable(0)],
    violating: [d.open(), d.backend(backendFeatures('SUSPEND')), ...d.start(), d.enable(0)],
  },
  {
    id: 'VDPA-RING-07',
    title: 'the index of a ring that still moves',
    party: 'vmm',
    level: 'note',
    clause: 'vdpa/vring-base',
    about:
      'GET_VRING_BASE of a device that works, and is not suspended, gives an index that may be old when the answer comes.',
    causes: 'The device cannot be suspended, or the VMM reads before it suspends.',
    needs: ['vdpa_status', 'vring_base_read', 'vdpa_suspend'],
    refusal: {
      machine: 'vdpa-device',
      event: /^ASK\.base$/,
      message: () => 'GET_VRING_BASE is asked of a device that works and is not suspended',
    },
    conformant: [d.open(), ...d.start(), ...d.halt()],
    violating: [d.open(), ...d.start(), d.baseRead(0, 5), ...d.halt()],
  },
  {
    id: 'VDPA-SUSPEND-02',
    title: 'SUSPEND without DRIVER_OK does nothing',
    party: 'vmm',
    level: 'note',
    clause: 'vdpa/suspend',
    about:
      'SUSPEND of a device that does not work succeeds and changes nothing: the device is not suspended afterwards.',
    causes: 'The VMM suspends a device that it has reset already.',
    needs: ['vdpa_suspend', 'vdpa_status'],
    device: (_view, scope) => {
      let works: boolean | undefined;
      return {
        vdpa_status: ({ errno, status }) => {
          if (!errno && status !== undefined) works = (status & VIRTIO_STATUS.DRIVER_OK) !== 0;
        },
        vdpa_suspend: (event) => {
          if (works === undefined || event.errno) return;
          scope.check();
          if (!works) scope.fail(event, 'SUSPEND is asked of a device without DRIVER_OK');
        },
      };
    },
    conformant: [d.open(), ...d.start(), d.suspend()],
    violating: [d.open(), ...d.start(), d.status(STATUS.reset), d.suspend()],
  },
  {
    id: 'VDPA-SUSPEND-03',
    title: 'what is offered can be used',
    party: 'driver',
    level: 'must',
    clause: 'vdpa/backend-features',
    about: 'A device that offers SUSPEND or RESUME does not answer that it is not supported.',
    causes: 'The bit is offered for a whole family of devices.',
    needs: ['vhost_offered', 'vdpa_suspend'],
    device: (_view, scope) => {
      let offered = 0n;
      const look = (name: 'SUSPEND' | 'RESUME') => (event: Parameters<typeof scope.fail>[0]) => {
        if (!hasFeature(offered, VHOST_BACKEND_FEATURES[name]) || !('errno' in event)) return;
        scope.check();
        if (event.errno === ERRNO.EOPNOTSUPP) scope.fail(event, `${name} is offered, and not supported`);
      };
      return {
        vhost_offered: ({ backendFeatures: features }) => {
          if (features !== undefined) offered = BigInt(features);
        },
        vdpa_suspend: look('SUSPEND'),
        vdpa_resume: look('RESUME'),
      };
    },
    conformant: [
      d.open(),
      d.event('vhost_offered', { interface: 'vdpa', backendFeatures: backendFeatures('SUSPEND') }),
      ...d.start(),
      d.suspend(),
    ],
    violating: [
      d.open(),
      d.event('vhost_offered', { interface: 'vdpa', backendFeatures: backendFeatures('SUSPEND') }),
      ...d.start(),
      d.suspend('EOPNOTSUPP'),
    ],
  },
  {
    id: 'VDPA-SUSPEND-04',
    title: 'the index of a suspended ring stands still',
    party: 'driver',
    level: 'must',
    clause: 'vdpa/suspend',
    about: 'While a device is suspended, GET_VRING_BASE of a ring gives the same index each time.',
    causes: 'SUSPEND returns before the last batch is through.',
    needs: ['vdpa_suspend', 'vring_base_read'],
    device: (_view, scope) => {
      let suspended = false;
      const read = new Map<number, number>();
      const over = ({ errno }: { errno?: number | undefined }) => {
        if (!errno) suspended = false;
        read.clear();
      };
      return {
        vdpa_status: over,
        vdpa_resume: over,
        vring_base: ({ index }) => {
          read.delete(index);
        },
        vdpa_suspend: ({ errno }) => {
          suspended = errno === 0;
          read.clear();
        },
        vring_base_read: (event) => {
          const { interface: via, index, num, shadow, errno } = event;
          if (via !== 'vdpa' || !suspended || shadow || errno || num === undefined) return;
          const before = read.get(index);
          if (before === undefined) {
            if (read.size < MOST_RINGS) read.set(index, num);
            return;
          }
          scope.check();
          if (before !== num)
            scope.fail(
              event,
              `ring ${index} stood at ${before} and is at ${num} now; the device is suspended`,
            );
        },
      };
    },
    conformant: [d.open(), ...d.start(), d.suspend(), d.baseRead(0, 9), d.baseRead(0, 9)],
    violating: [d.open(), ...d.start(), d.suspend(), d.baseRead(0, 9), d.baseRead(0, 10)],
  },
  {
    id: 'VDPA-SUSPEND-05',
    title: 'a suspended device does no work',
    party: 'driver',
    level: 'must',
    clause: 'vdpa/suspend',
    about: 'After SUSPEND no buffer is taken and none is returned, until RESUME or a new start.',
    causes: 'A kick that comes after SUSPEND wakes the worker.',
    needs: ['vdpa_suspend', 'vring_progress'],
    device: (_view, scope) => {
      let suspended = false;
      const stood = new Map<number, string>();
      const over = ({ errno }: { errno?: number | undefined }) => {
        if (!errno) suspended = false;
      };
      return {
        vdpa_status: over,
        vdpa_resume: over,
        vdpa_suspend: ({ errno }) => {
          suspended = errno === 0;
          stood.clear();
        },
        vring_progress: (event) => {
          if (!suspended) return;
          const now = `${event.avail} taken, ${event.used} returned`;
          const before = stood.get(event.index);
          if (before === undefined) {
            if (stood.size < MOST_RINGS) stood.set(event.index, now);
            return;
          }
          scope.check();
          if (before !== now)
            scope.fail(
              event,
              `ring ${event.index} has gone on from ${before} to ${now}; the device is suspended`,
            );
        },
      };
    },
    conformant: [d.open(), ...d.start(), d.suspend(), d.progress(0, 9, 8), d.progress(0, 9, 8)],
    violating: [d.open(), ...d.start(), d.suspend(), d.progress(0, 9, 8), d.progress(0, 9, 9)],
  },
  {
    id: 'VDPA-SUSPEND-06',
    title: 'the index that is read is where the device stands',
    party: 'driver',
    level: 'must',
    clause: 'svq/index',
    about:
      'The index of a suspended split ring lies between the buffers that were returned and those that were taken: a device that gives the first one has its buffers in flight again, one that gives the last one has recorded them. Anything else loses buffers, or has them done twice.',
    causes: 'The index is cached, and the cache is older than the suspend.',
    needs: ['vdpa_suspend', 'vring_base_read', 'vring_progress', 'vring_base'],
    device: (_view, scope) => {
      let [suspended, packed] = [false, false];
      const starts = new Map<number, number>();
      const stands = new Map<number, { avail: number; used: number }>();
      const over = ({ errno }: { errno?: number | undefined }) => {
        if (!errno) suspended = false;
      };
      return {
        vdpa_status: over,
        vdpa_resume: over,
        vdpa_suspend: ({ errno }) => {
          suspended = errno === 0;
          stands.clear();
        },
        vhost_set_features: ({ errno, features }) => {
          if (!errno && features !== undefined)
            packed = hasFeature(BigInt(features), VIRTIO_FEATURES.RING_PACKED);
        },
        vring_base: ({ errno, index, num, shadow }) => {
          starts.delete(index);
          if (!errno && num !== undefined && !shadow && starts.size < MOST_RINGS) starts.set(index, num);
        },
        vring_progress: ({ index, avail, used }) => {
          if (suspended && stands.size < MOST_RINGS) stands.set(index, { avail, used });
        },
        vring_base_read: (event) => {
          const { interface: via, index, num, shadow, errno } = event;
          const [start, stand] = [starts.get(index), stands.get(index)];
          if (via !== 'vdpa' || !suspended || packed || shadow || errno) return;
          if (num === undefined || start === undefined || stand === undefined) return;
          scope.check();
          const from = (start + stand.used) % INDICES;
          if ((num - from + INDICES) % INDICES > stand.avail - stand.used)
            scope.fail(event, `ring ${index} is said to stand at ${num}`, [
              `from ${from} to ${(start + stand.avail) % INDICES}`,
            ]);
        },
      };
    },
    conformant: [
      d.open(),
      ...d.start(false, 65_530),
      d.suspend(),
      d.progress(0, 9, 8),
      d.baseRead(0, 3),
      d.baseRead(0, 3),
    ],
    violating: [d.open(), ...d.start(), d.suspend(), d.progress(0, 9, 8), d.baseRead(0, 7)],
  },
  {
    id: 'VDPA-RESET-01',
    title: 'a suspended device is resumed or reset before it is started again',
    party: 'vmm',
    level: 'must',
    clause: 'vdpa/suspend',
    about:
      'A device that was suspended does nothing until RESUME or a reset, whatever is written to its status.',
    causes: 'The way back from a migration that failed starts the device without the reset in between.',
    needs: ['vdpa_suspend', 'vhost_dev_start', 'vdpa_status'],
    device: (_view, scope) => {
      let suspended = false;
      return {
        vdpa_suspend: ({ errno }) => {
          suspended = errno === 0;
        },
        vdpa_resume: ({ errno }) => {
          if (!errno) suspended = false;
        },
        vdpa_status: ({ errno, status }) => {
          if (!errno && status === 0) suspended = false;
        },
        vhost_dev_start: (event) => {
          if (event.begin) return;
          scope.check();
          if (suspended)
            scope.fail(event, 'the device was started while it is suspended', ['RESUME', 'status 0']);
        },
      };
    },
    conformant: [d.open(), ...d.start(), ...d.halt(), ...d.start()],
    violating: [d.open(), ...d.start(), d.suspend(), d.status(STATUS.driverOk), d.started()],
  },
];

const call = (kind: string): string => (kind === 'vring_addr' ? 'SET_VRING_ADDR' : 'SET_VRING_BASE');
