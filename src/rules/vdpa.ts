import { VHOST_BACKEND_FEATURES } from '../uapi/vhost.js';
import { hasFeature } from '../uapi/virtio.js';
import type { Rule } from './rule.js';
import { backendFeatures, NET_FEATURES, STATUS, vdpaExample } from './vdpa-example.js';

const d = vdpaExample();
const KNOWN_BACKEND_BITS = Object.values(VHOST_BACKEND_FEATURES).reduce(
  (all, bit) => all | (1n << BigInt(bit)),
  0n,
);

/** Status, features and address spaces of devices behind vhost-vdpa. */
export const VDPA_RULES: readonly Rule[] = [
  {
    id: 'VDPA-STATUS-01',
    title: 'status bits are only added',
    party: 'vmm',
    level: 'must',
    clause: 'vdpa/status',
    about:
      'A new status has every bit of the old one; only a reset, status 0, takes bits away. So a device that has failed is reset before it is used again.',
    causes: 'The VMM goes back a step, such as from DRIVER_OK to FEATURES_OK, without a reset.',
    needs: ['vdpa_status'],
    refusal: {
      machine: 'vdpa-device',
      event: /^STATUS\./,
      message: ({ before }) =>
        `the new status lacks a bit that ${before.map((each) => each.split(' ')[0]).join(' or ')} has`,
    },
    conformant: [d.open(), ...d.start(), d.status(STATUS.reset), d.status(STATUS.driver)],
    violating: [d.open(), ...d.start(), d.status(STATUS.featuresOk, 'EINVAL'), d.status(STATUS.driver)],
  },
  {
    id: 'VDPA-STATUS-02',
    title: 'a status that takes bits away is refused',
    party: 'driver',
    level: 'must',
    clause: 'vdpa/status',
    about: 'SET_STATUS without a bit of the old status, and not 0, ends with EINVAL.',
    causes: 'The status is written to the device as it comes.',
    needs: ['vdpa_status'],
    device: (_view, scope) => {
      let known: number | undefined;
      return {
        vhost_open: () => {
          known = undefined;
        },
        vdpa_status_read: ({ errno, status }) => {
          if (!errno) known = status;
        },
        vdpa_status: (event) => {
          const { errno, status } = event;
          if (status !== undefined && known !== undefined && errno !== undefined) {
            const lost = known & ~status;
            if (status !== 0) scope.check();
            if (errno === 0 && status !== 0 && lost !== 0)
              scope.fail(event, `status ${hex(status)} is taken after ${hex(known)}: ${hex(lost)} is gone`, [
                'EINVAL',
              ]);
          }
          if (!errno) known = status;
        },
      };
    },
    conformant: [d.open(), ...d.start(), d.status(STATUS.reset), d.status(STATUS.driver)],
    violating: [d.open(), ...d.start(), d.status(STATUS.driver)],
  },
  {
    id: 'VDPA-STATUS-03',
    title: 'the status that is read is the one that was written',
    party: 'driver',
    level: 'note',
    clause: 'vdpa/status',
    about:
      'GET_STATUS gives what was set. A device may let FEATURES_OK fall when it does not take the features, and may report that it has failed.',
    causes: 'The device has lost its state, or was reset by somebody else.',
    needs: ['vdpa_status', 'vdpa_status_read'],
    refusal: {
      machine: 'vdpa-device',
      event: /^NOW\./,
      message: ({ events, before }) =>
        `GET_STATUS shows ${events[0]!.slice(4)}; it was ${before.map((each) => each.split(' ')[0]).join(' or ')}`,
    },
    conformant: [
      d.open(),
      ...d.negotiate(),
      d.event('vdpa_status_read', { status: STATUS.driver, errno: 0 }),
    ],
    violating: [d.open(), ...d.start(), d.event('vdpa_status_read', { status: STATUS.driver, errno: 0 })],
  },
  {
    id: 'VDPA-SUSPEND-01',
    title: 'a suspended device writes no guest memory',
    party: 'driver',
    level: 'must',
    clause: 'vdpa/suspend',
    about:
      'When SUSPEND has returned, the device processes no ring and writes no guest memory, until RESUME, or until it was reset and works again.',
    causes: 'SUSPEND returns while a worker, or the hardware, still has a batch in hand.',
    needs: ['vdpa_suspend', 'vhost_write', 'vdpa_status'],
    refusal: {
      machine: 'vdpa-device',
      event: /^WRITE\.memory$/,
      where: ({ before }) => before.some((each) => each.split(' ')[1] === 'suspended'),
      exercisedBy: /^SUSPEND\.ok$/,
      message: () => 'the device wrote guest memory after SUSPEND had returned',
    },
    conformant: [
      d.open(),
      ...d.start(),
      d.write(0),
      d.suspend(),
      d.resume(),
      d.write(0),
      ...d.halt(false, 1),
    ],
    violating: [d.open(), ...d.start(), d.write(0), d.suspend(), d.write(0)],
  },
  {
    id: 'VDPA-STATUS-04',
    title: 'no guest memory is written before DRIVER_OK',
    party: 'driver',
    level: 'must',
    clause: 'vdpa/before-driver-ok',
    about: 'A device consumes no buffers, and so writes no guest memory, before DRIVER_OK and after a reset.',
    causes: 'Rings that were enabled are served at once; a reset does not wait for what is under way.',
    needs: ['vdpa_status', 'vhost_write'],
    refusal: {
      machine: 'vdpa-device',
      event: /^WRITE\.memory$/,
      message: ({ before }) =>
        `the device wrote guest memory while its status was ${before.map((each) => each.split(' ')[0]).join(' or ')}`,
    },
    conformant: [d.open(), ...d.start(), d.write(1)],
    violating: [d.open(), ...d.start(), d.status(STATUS.reset), d.write(1)],
  },
  {
    id: 'VDPA-FEATURES-01',
    title: 'features are fixed by FEATURES_OK',
    party: 'driver',
    level: 'must',
    clause: 'vdpa/features',
    about: 'SET_FEATURES after FEATURES_OK ends with EBUSY.',
    causes: 'The features of a working device are exchanged under it.',
    needs: ['vdpa_status', 'vhost_set_features'],
    refusal: {
      machine: 'vdpa-device',
      event: /^ASK\.features$/,
      where: ({ trace }) => 'errno' in trace && trace.errno === 0,
      message: () => 'SET_FEATURES succeeded after FEATURES_OK: EBUSY was due',
    },
    conformant: [d.open(), ...d.start()],
    violating: [d.open(), ...d.start(), d.features(NET_FEATURES)],
  },
  {
    id: 'VDPA-FEATURES-02',
    title: 'features are set before FEATURES_OK',
    party: 'vmm',
    level: 'must',
    clause: 'vdpa/features',
    about:
      'SET_FEATURES comes before FEATURES_OK. Where only LOG_ALL would change for the sake of a migration, nothing is asked of the device.',
    causes: 'The dirty log of a migration is switched on by SET_FEATURES, as for kernel vhost.',
    needs: ['vdpa_status', 'vhost_set_features'],
    refusal: {
      machine: 'vdpa-device',
      event: /^ASK\.features$/,
      message: () => 'SET_FEATURES is asked after FEATURES_OK',
    },
    conformant: [d.open(), ...d.start()],
    violating: [d.open(), ...d.start(), d.features(NET_FEATURES, 'EBUSY')],
  },
  {
    id: 'VDPA-FEATURES-03',
    title: 'only offered features are accepted',
    party: 'vmm',
    level: 'must',
    clause: 'vdpa/offered',
    about: 'The features that are set are among those that the device offers.',
    causes: 'The features of the source are set on a destination device that has fewer.',
    needs: ['vhost_offered', 'vhost_set_features'],
    device: (_view, scope) => {
      let offered: bigint | undefined;
      return {
        vhost_offered: (event) => {
          if (event.interface === 'vdpa' && !event.errno && event.features !== undefined)
            offered = BigInt(event.features);
        },
        vhost_set_features: (event) => {
          if (event.interface !== 'vdpa' || offered === undefined || event.features === undefined) return;
          scope.check();
          const more = BigInt(event.features) & ~offered;
          if (more !== 0n) scope.fail(event, `features 0x${more.toString(16)} are set, and were not offered`);
        },
      };
    },
    conformant: [
      d.open(),
      d.event('vhost_offered', { interface: 'vdpa', features: '0x300000020', errno: 0 }),
      ...d.start(),
    ],
    violating: [
      d.open(),
      d.event('vhost_offered', { interface: 'vdpa', features: '0x100000020', errno: 0 }),
      ...d.start(),
    ],
  },
  {
    id: 'VDPA-BACKEND-01',
    title: 'only backend features that mean something are taken',
    party: 'driver',
    level: 'must',
    clause: 'vdpa/backend-features',
    about: 'SET_BACKEND_FEATURES with a bit that stands for nothing the device can do ends with EOPNOTSUPP.',
    causes: 'The word is stored as it comes, and the VMM relies on it.',
    needs: ['vhost_set_backend_features'],
    device: (_view, scope) => ({
      vhost_set_backend_features: (event) => {
        if (event.interface !== 'vdpa' || event.errno === undefined || event.features === undefined) return;
        scope.check();
        const strange = BigInt(event.features) & ~KNOWN_BACKEND_BITS;
        if (event.errno === 0 && strange !== 0n)
          scope.fail(
            event,
            `backend features 0x${strange.toString(16)} were taken; nobody knows what they are`,
            ['EOPNOTSUPP'],
          );
      },
    }),
    conformant: [d.open(), d.backend(backendFeatures('IOTLB_MSG_V2', 'SUSPEND'))],
    violating: [d.open(), d.backend('0x8000000000000010')],
  },
  {
    id: 'VDPA-BACKEND-02',
    title: 'DESC_ASID needs IOTLB_ASID',
    party: 'driver',
    level: 'must',
    clause: 'vdpa/backend-features',
    about: 'SET_BACKEND_FEATURES with DESC_ASID and without IOTLB_ASID ends with EINVAL.',
    causes: 'Bits are looked at one by one.',
    needs: ['vhost_set_backend_features'],
    device: (_view, scope) => ({
      vhost_set_backend_features: (event) => {
        if (event.interface !== 'vdpa' || event.errno === undefined || event.features === undefined) return;
        const has = (bit: number) => hasFeature(BigInt(event.features!), bit);
        if (!has(VHOST_BACKEND_FEATURES.DESC_ASID)) return;
        scope.check();
        if (event.errno === 0 && !has(VHOST_BACKEND_FEATURES.IOTLB_ASID))
          scope.fail(event, 'DESC_ASID was taken without IOTLB_ASID', ['EINVAL']);
      },
    }),
    conformant: [
      d.open(),
      d.backend(backendFeatures('DESC_ASID'), 'EINVAL'),
      d.backend(backendFeatures('DESC_ASID', 'IOTLB_ASID')),
    ],
    violating: [d.open(), d.backend(backendFeatures('DESC_ASID'))],
  },
  {
    id: 'VDPA-ASID-01',
    title: 'a working device keeps its address spaces',
    party: 'driver',
    level: 'should',
    clause: 'vdpa/group-asid',
    about:
      'SET_GROUP_ASID with DRIVER_OK ends with EBUSY. Older kernels hand it to the driver of the device.',
    causes: 'A kernel before the check, whose driver moves the group under a working device.',
    needs: ['vdpa_status', 'vdpa_group_asid'],
    refusal: {
      machine: 'vdpa-device',
      event: /^ASK\.group_asid$/,
      where: ({ trace }) => 'errno' in trace && trace.errno === 0,
      message: () => 'SET_GROUP_ASID succeeded with DRIVER_OK: EBUSY was due',
    },
    conformant: [d.open(), ...d.negotiate(), d.asid(1, 1)],
    violating: [d.open(), ...d.start(), d.asid(1, 1)],
  },
  {
    id: 'VDPA-ASID-02',
    title: 'address spaces are chosen before DRIVER_OK',
    party: 'vmm',
    level: 'must',
    clause: 'vdpa/group-asid',
    about:
      'The address space of a group of rings is set before DRIVER_OK: a control queue that the VMM shadows is isolated before the device works.',
    causes: 'The VMM isolates the control queue when the device runs already.',
    needs: ['vdpa_status', 'vdpa_group_asid'],
    refusal: {
      machine: 'vdpa-device',
      event: /^ASK\.group_asid$/,
      message: () => 'SET_GROUP_ASID is asked with DRIVER_OK',
    },
    conformant: [d.open(), ...d.negotiate(), d.asid(1, 1)],
    violating: [d.open(), ...d.start(), d.asid(1, 1, 'EBUSY')],
  },
  {
    id: 'VDPA-LOG-01',
    title: 'vhost-vdpa has no dirty log',
    party: 'driver',
    level: 'note',
    clause: 'vdpa/no-log',
    about:
      'SET_LOG_BASE is refused by the kernel. A VMM that was told yes, and takes the log for the whole truth, loses what the device writes.',
    causes: 'A driver of its own, outside vhost-vdpa, or a request that was swallowed on the way.',
    needs: ['vhost_log_base'],
    device: (_view, scope) => ({
      vhost_log_base: (event) => {
        if (event.interface !== 'vdpa' || event.errno === undefined) return;
        scope.check();
        if (event.errno === 0) scope.fail(event, 'SET_LOG_BASE succeeded on a vDPA device', ['ENOIOCTLCMD']);
      },
    }),
    conformant: [d.open(), d.event('vhost_log_base', { interface: 'vdpa', size: 4096, errno: 25 })],
    violating: [d.open(), d.event('vhost_log_base', { interface: 'vdpa', size: 4096, errno: 0 })],
  },
  {
    id: 'VDPA-IOTLB-01',
    title: 'a mapping has a size',
    party: 'driver',
    level: 'must',
    clause: 'vdpa/iotlb',
    about: 'An IOTLB update of no bytes is refused.',
    causes: 'The size is not looked at, and wraps to the whole address space.',
    needs: ['vhost_iotlb'],
    device: (_view, scope) => ({
      vhost_iotlb: (event) => {
        if (event.interface !== 'vdpa' || event.type !== 'update') return;
        if (event.errno === undefined || event.size === undefined) return;
        scope.check();
        if (event.errno === 0 && BigInt(event.size) === 0n)
          scope.fail(event, 'an IOTLB update of no bytes succeeded', ['EINVAL']);
      },
    }),
    conformant: [
      d.open(),
      d.event('vhost_iotlb', { interface: 'vdpa', type: 'update', iova: 0, size: 4096, errno: 0 }),
    ],
    violating: [
      d.open(),
      d.event('vhost_iotlb', { interface: 'vdpa', type: 'update', iova: 0, size: 0, errno: 0 }),
    ],
  },
];

const hex = (value: number): string => `0x${value.toString(16)}`;
