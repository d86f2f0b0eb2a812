import { vmm } from './example.js';
import type { Rule } from './rule.js';
import { backendFeatures, MIGRATION_NOT_DONE, STATUS, switched, vdpaExample } from './vdpa-example.js';

const d = vdpaExample();
const v = vmm();
/** Most virtqueues of a device that a rule remembers something about. */
const MOST_RINGS = 1024;

/** Negotiated, with three rings that have addresses; the last one is the control queue. */
const withControlQueue = [
  d.open(),
  d.backend(backendFeatures('ENABLE_AFTER_DRIVER_OK')),
  ...d.negotiate(),
  ...[0, 1, 2].map((index) => d.addr(index)),
];

/** Shadow virtqueues of a VMM, and what it restores by the control queue. */
export const SHADOW_VIRTQUEUE_RULES: readonly Rule[] = [
  {
    id: 'SVQ-01',
    title: 'shadow virtqueues are put in at the set-up of a migration',
    party: 'vmm',
    level: 'should',
    clause: 'svq/setup',
    about:
      'vhost-vdpa has no dirty log. A device that works when a migration is set up is switched to shadow virtqueues before the migration is active, or is stopped: else nobody sees what it writes.',
    causes: 'The switch is made after the first pass over memory, or not at all.',
    needs: ['migration_status', 'vring_base', 'vdpa_status'],
    refusal: {
      machine: 'vdpa-shadow',
      event: /^MIGRATION\.active$/,
      exercisedBy: /^MIGRATION\.active$/,
      message: () => "the migration is active, and the device works on the guest's own rings",
    },
    conformant: switched,
    violating: [d.open(), ...d.start(), v.status('setup'), v.status('active'), ...d.halt()],
  },
  {
    id: 'SVQ-02',
    title: 'a device is reset between rings of the guest and rings of the VMM',
    party: 'vmm',
    level: 'must',
    clause: 'svq/setup',
    about:
      'Between rings of the guest and shadow virtqueues, in both directions, the device is stopped, its indices are read, and it is reset: it would otherwise go on with what it has cached of the other rings.',
    causes: 'A switch ring by ring, while the device works.',
    needs: ['vdpa_status', 'vring_base'],
    refusal: {
      machine: 'vdpa-shadow',
      event: /^BASE\./,
      where: ({ before, events }) =>
        before.some((each) => each.split(' ')[0] === (events[0] === 'BASE.guest' ? 'on' : 'off')),
      message: ({ events }) =>
        events[0] === 'BASE.guest'
          ? "a ring of the guest is set up; the device has the VMM's rings, and was not reset"
          : "a shadow virtqueue is set up; the device has the guest's rings, and was not reset",
    },
    conformant: switched,
    violating: [d.open(), ...d.start(), v.status('setup'), d.suspend(), d.base(0, 0, true)],
  },
  {
    id: 'SVQ-03',
    title: 'no shadow virtqueues after a migration that failed or was cancelled',
    party: 'vmm',
    level: 'should',
    clause: 'svq/off',
    about:
      "After a migration that failed or was cancelled the device is started on the guest's own rings. With shadow virtqueues it works, and each buffer goes through the VMM for ever.",
    causes: 'The device is started again while the status still says that a migration runs (QEMU 11.1).',
    needs: ['migration_status', 'vring_base', 'vdpa_status'],
    refusal: {
      machine: 'vdpa-shadow',
      event: /^BASE\./,
      exercisedBy: /^MIGRATION\.failed$/,
      message: () =>
        'after the failed or cancelled migration the device is started with shadow virtqueues again',
    },
    conformant: [...switched, v.status('cancelling'), ...d.halt(true), ...d.start(), v.status('cancelled')],
    violating: [
      ...switched,
      v.status('cancelling'),
      ...d.halt(true),
      ...d.start(true),
      v.status('cancelled'),
    ],
  },
  {
    id: 'SVQ-04',
    title: 'shadow virtqueues are taken away when a migration fails or is cancelled',
    party: 'vmm',
    level: 'should',
    clause: 'svq/off',
    about:
      "A device that got shadow virtqueues for a migration goes back to the guest's rings when that fails or is cancelled. It does not keep them while the VM goes on.",
    causes: 'Nobody is told of the failure, or the way back is missing.',
    needs: ['migration_status', 'vring_base', 'vdpa_status', 'vm_state'],
    host: (_host, scope) => {
      const devices = new Map<string, { shadow: boolean; switched: boolean; gone: boolean }>();
      const over = (event: Parameters<typeof scope.fail>[0], what: string) => {
        for (const [id, each] of devices) {
          if (!each.gone) continue;
          each.gone = false;
          scope.check();
          scope.fail(
            event,
            `${what}, and the shadow virtqueues of the last migration are still there`,
            [],
            id,
          );
        }
      };
      return {
        vring_base: ({ device, interface: via, shadow, errno }) => {
          if (via !== 'vdpa' || shadow === undefined || errno) return;
          const before = devices.get(device);
          // Started again after the failure: if with shadow virtqueues, that is another rule's.
          if (before?.gone) scope.check();
          const switched =
            shadow && before !== undefined && !before.gone && (before.switched || !before.shadow);
          devices.set(device, { shadow, switched, gone: false });
        },
        migration_status: (event) => {
          if (event.status === 'setup') over(event, 'the next migration is set up');
          for (const each of devices.values()) {
            if (MIGRATION_NOT_DONE.has(event.status)) each.gone ||= each.shadow && each.switched;
            else if (event.status === 'completed') [each.gone, each.switched] = [false, false];
          }
        },
        vm_state: (event) => {
          if (!event.running) over(event, 'the VM has gone on and is stopped again');
        },
      };
    },
    conformant: [
      ...switched,
      v.status('cancelling'),
      v.status('cancelled'),
      ...d.halt(true),
      ...d.start(),
      v.stop('paused'),
    ],
    violating: [
      ...switched,
      v.status('cancelling'),
      v.status('cancelled'),
      v.stop('paused'),
      ...d.halt(true),
    ],
  },
  {
    id: 'SVQ-05',
    title: 'a shadow virtqueue starts at 0',
    party: 'vmm',
    level: 'should',
    clause: 'svq/base',
    about:
      "A shadow virtqueue is new at each start: the device begins on it at index 0. The guest's index is the VMM's affair until the device is back on the guest's ring.",
    causes: "The guest's index is given to the device for a ring that does not have it.",
    needs: ['vring_base'],
    device: (_view, scope) => ({
      vring_base: (event) => {
        if (event.interface !== 'vdpa' || event.shadow !== true || event.num === undefined) return;
        scope.check();
        if (event.num !== 0)
          scope.fail(event, `the shadow virtqueue ${event.index} starts at ${event.num}`, ['0']);
      },
    }),
    conformant: switched,
    violating: [d.open(), ...d.start(), ...d.halt(false, 5), ...d.start(true, 5)],
  },
  {
    id: 'VDPA-CVQ-01',
    title: 'data rings are enabled after the control queue was restored',
    party: 'vmm',
    level: 'must',
    clause: 'svq/cvq',
    about:
      'What the guest had set by the control queue (MAC, queue pairs, filters, offloads) is set again while the control queue alone is enabled: data rings come after it.',
    causes: 'All rings are enabled at once, and packets arrive by the defaults of a device after reset.',
    needs: ['vdpa_cvq_command', 'vring_enable', 'vdpa_status'],
    device: (_view, scope) => {
      const enabled = new Set<number>();
      return {
        vdpa_status: ({ errno, status }) => {
          if (!errno && status === 0) enabled.clear();
        },
        vring_enable: ({ interface: via, index, on, errno }) => {
          if (via !== 'vdpa' || errno) return;
          if (!on) enabled.delete(index);
          else if (enabled.size < MOST_RINGS) enabled.add(index);
        },
        vdpa_cvq_command: (event) => {
          scope.check();
          if (enabled.size < 2) return;
          scope.fail(
            event,
            `a command restores state, and ${enabled.size} rings are enabled: data rings are among them`,
            ['the control queue alone'],
          );
          enabled.clear();
        },
      };
    },
    conformant: [
      ...withControlQueue,
      d.status(STATUS.driverOk),
      d.enable(2),
      d.cvq(true),
      d.enable(0),
      d.enable(1),
    ],
    violating: [
      ...withControlQueue,
      d.enable(0),
      d.enable(1),
      d.status(STATUS.driverOk),
      d.enable(2),
      d.cvq(true),
    ],
  },
  {
    id: 'VDPA-CVQ-02',
    title: 'a refused command of the control queue fails the start',
    party: 'vmm',
    level: 'must',
    clause: 'svq/cvq',
    about:
      'When the device does not take a command by which its state is restored, the start fails: the data rings stay off.',
    causes: 'The ack of the command is not looked at.',
    needs: ['vdpa_cvq_command', 'vring_enable'],
    device: (_view, scope) => {
      let refused = false;
      const enabled = new Set<number>();
      return {
        vdpa_status: ({ errno, status }) => {
          if (errno || status !== 0) return;
          refused = false;
          enabled.clear();
        },
        vdpa_cvq_command: ({ ok }) => {
          if (ok === undefined) return;
          scope.check();
          refused ||= !ok;
        },
        vring_enable: (event) => {
          if (event.interface !== 'vdpa' || event.errno || !event.on || enabled.has(event.index)) return;
          if (enabled.size < MOST_RINGS) enabled.add(event.index);
          if (refused)
            scope.fail(
              event,
              `ring ${event.index} is enabled, though the device refused a command of the restore`,
            );
          refused = false;
        },
      };
    },
    conformant: [
      ...withControlQueue,
      d.status(STATUS.driverOk),
      d.enable(2),
      d.cvq(true),
      d.enable(0),
      d.enable(1),
    ],
    violating: [...withControlQueue, d.status(STATUS.driverOk), d.enable(2), d.cvq(false), d.enable(0)],
  },
];
