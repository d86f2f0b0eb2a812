import type { CapabilitySet } from '../machines/capabilities.js';
import { arcsOf, nextHop, requestedPath } from '../machines/vfio-arcs.js';
import type { TraceEvent } from '../trace/event.js';
import { MIG_STATES, type MigState } from '../uapi/vfio.js';
import { device } from './example.js';
import type { Refusal, Rule } from './rule.js';

const d = device();
const arc = (from: MigState, to: MigState): TraceEvent => d.event('driver_arc', { from, to, errno: 0 });
const hop = (from: MigState, to: MigState, errno = 0): TraceEvent => d.event('next_hop', { from, to, errno });

const isArc = (from: string, to: string, caps: readonly CapabilitySet[]): boolean =>
  caps.some((each) => arcsOf(each).some((known) => known.from === from && known.to === to));

const named = (state: string | number): MigState | undefined => MIG_STATES.find((each) => each === state);

function knownArc({ events, device: view }: Refusal): boolean {
  const [, from, to] = events[0]!.split('.');
  return view !== null && isArc(from!, to!, view.capabilities());
}

/** What happens inside the kernel: the arcs of a driver and the hops of the VFIO core. */
export const DRIVER_ARC_RULES: readonly Rule[] = [
  {
    id: 'VFIO-ARC-01',
    title: 'an arc begins where the device is',
    party: 'driver',
    level: 'must',
    clause: 'core/next-state',
    about: 'A driver walks arc after arc: each begins in the state to which the last one led.',
    causes: 'The driver does not update its state after an arc, or after a reset.',
    needs: ['driver_arc'],
    refusal: {
      machine: 'vfio-driver',
      event: /^ARC\./,
      where: knownArc,
      message: ({ events, before }) => {
        const [, from, to] = events[0]!.split('.');
        return `the arc ${from} -> ${to} was walked while the device was in ${before.join(' or ')}`;
      },
    },
    conformant: [...d.open(), arc('RUNNING', 'RUNNING_P2P'), arc('RUNNING_P2P', 'STOP')],
    violating: [...d.open(), arc('RUNNING', 'RUNNING_P2P'), arc('STOP', 'STOP_COPY')],
  },
  {
    id: 'VFIO-ARC-02',
    title: 'a driver walks only arcs of the FSM',
    party: 'driver',
    level: 'must',
    clause: 'uapi/path',
    about: 'The steps of a driver are the arcs of the uAPI for the capabilities that it offers.',
    causes: 'A step function with a case that the FSM does not have.',
    needs: ['driver_arc'],
    refusal: {
      machine: 'vfio-driver',
      event: /^ARC\./,
      message: ({ events }) => `${events[0]!.split('.').slice(1).join(' -> ')} is no arc`,
    },
    conformant: [...d.open(1), arc('RUNNING', 'STOP'), arc('STOP', 'STOP_COPY')],
    violating: [...d.open(1), arc('RUNNING', 'STOP_COPY')],
  },
  {
    id: 'VFIO-ARC-03',
    title: 'a request walks the path of the uAPI',
    party: 'kernel',
    level: 'must',
    clause: 'uapi/path',
    about:
      'The arcs that serve a request are the shortest path to it, without a saving-group state in the interior.',
    causes: 'The driver does not loop over vfio_mig_get_next_state().',
    needs: ['driver_request', 'driver_arc'],
    device: (view, scope) => {
      let asked: MigState | undefined;
      return {
        driver_request: (event) => {
          asked = named(event.state);
        },
        reset: () => {
          asked = undefined;
        },
        driver_arc: (event) => {
          if (asked === undefined) return;
          const hops = view.capabilities().map((caps) => nextHop(event.from, asked!, caps));
          scope.check();
          if (!hops.includes(event.to) && isArc(event.from, event.to, view.capabilities()))
            scope.fail(event, `on the way to ${asked} the driver went from ${event.from} to ${event.to}`, [
              ...new Set(hops.filter((each) => each !== null)),
            ]);
        },
      };
    },
    conformant: [
      ...d.open(),
      d.event('driver_request', { state: 'STOP' }),
      arc('RUNNING', 'RUNNING_P2P'),
      arc('RUNNING_P2P', 'STOP'),
    ],
    violating: [...d.open(), d.event('driver_request', { state: 'STOP' }), arc('RUNNING', 'PRE_COPY')],
  },
  {
    id: 'VFIO-ARC-04',
    title: 'vfio_mig_get_next_state() answers as the uAPI has it',
    party: 'kernel',
    level: 'must',
    clause: 'core/next-state',
    about: 'It gives a next hop where a path exists, and -EINVAL where none does.',
    causes: 'A kernel whose table was changed.',
    needs: ['next_hop'],
    device: (view, scope) => ({
      next_hop: (event) => {
        if (event.errno === undefined) return;
        scope.check();
        const to = named(event.to);
        const exists = (caps: CapabilitySet) =>
          to !== undefined && requestedPath(event.from, to, caps) !== null;
        const legal = view.capabilities().some((caps) => exists(caps) === (event.errno === 0));
        if (!legal)
          scope.fail(
            event,
            `for ${event.from} to ${event.to} it answered ${event.errno === 0 ? 'a next hop' : 'an error'}`,
          );
      },
    }),
    conformant: [...d.open(), hop('STOP_COPY', 'RUNNING'), hop('STOP_COPY', 'PRE_COPY', 22)],
    violating: [...d.open(), hop('STOP_COPY', 'PRE_COPY')],
  },
  {
    id: 'VFIO-ARC-05',
    title: 'a driver goes to the hop that it was given',
    party: 'driver',
    level: 'must',
    clause: 'core/next-state',
    about: 'Within one request the driver asks for the next hop from the state to which the last hop led.',
    causes: 'The driver skips an arc, or asks from a state of its own.',
    needs: ['next_hop'],
    device: (view, scope) => {
      let last: { from: MigState; to: MigState } | null = null;
      return {
        driver_request: () => {
          last = null;
        },
        next_hop: (event) => {
          const to = named(event.to);
          if (last !== null && last.to === to) {
            const { from } = last;
            const hops = view.capabilities().map((caps) => nextHop(from, to, caps));
            scope.check();
            // From the same state again: the arc has failed and the request is tried once more.
            if (!hops.includes(event.from) && event.from !== from && from !== to)
              scope.fail(event, `from ${from} to ${to} the next hop is not ${event.from}`, [
                ...new Set(hops.map(String)),
              ]);
          }
          last = event.errno === 0 && to !== undefined ? { from: event.from, to } : null;
          if (last && view.capabilities().every((caps) => nextHop(event.from, last!.to, caps) === last!.to))
            last = null;
        },
      };
    },
    conformant: [
      ...d.open(),
      hop('STOP_COPY', 'RUNNING'),
      hop('STOP', 'RUNNING'),
      hop('RUNNING_P2P', 'RUNNING'),
    ],
    violating: [...d.open(), hop('STOP_COPY', 'RUNNING'), hop('PRE_COPY', 'RUNNING')],
  },
];
