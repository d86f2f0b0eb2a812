import { isRunning, mayDoP2p } from '../machines/vfio-arcs.js';
import type { EventOf } from '../trace/event.js';
import type { MigState } from '../uapi/vfio.js';
import { device } from './example.js';
import type { DeviceView, Rule, Watch } from './rule.js';

const d = device();
const write = d.event('dma_write', { iova: '0x1000', length: 64 });
const needs = ['dma_write', 'set_state_result'] as const;

/** A device as a rule about its writes sees it. */
interface Quiet {
  readonly state: MigState;
  /** It was in RESUMING and has not run since. */
  readonly loaded: boolean;
  /** A request that will make it run has not been answered yet: it may run by now. */
  readonly leaving: boolean;
}

/** Judges writes to memory; `rest` hears when the device has come to a new state. */
function onWrite(
  view: DeviceView,
  rest: (quiet: Quiet) => void,
  judge: (quiet: Quiet, event: EventOf<'dma_write'>) => void,
): Watch {
  let loaded = false;
  let leaving = false;
  const quiet = (): Quiet | null => {
    const state = view.state();
    return state === null ? null : { state, loaded, leaving };
  };
  const anew = () => {
    loaded = false;
    leaving = false;
  };
  return {
    device_open: anew,
    reset: anew,
    set_state: ({ state }) => {
      leaving = state === 'RUNNING' || state === 'RUNNING_P2P';
    },
    set_state_result: () => {
      leaving = false;
      const now = quiet();
      if (now === null) return;
      loaded = now.state === 'RESUMING' || (loaded && isStopped(now.state));
      rest({ ...now, loaded });
    },
    dma_write: (event) => {
      const now = quiet();
      if (now !== null) judge(now, event);
    },
  };
}

const isStopped = (state: MigState): boolean => state !== 'ERROR' && !isRunning(state);
const isP2p = (state: MigState): boolean => isRunning(state) && !mayDoP2p(state);

const where = ({ iova, length }: EventOf<'dma_write'>): string => {
  const from = typeof iova === 'number' ? `0x${iova.toString(16)}` : iova.slice(0, 18);
  return `${Number(length)} bytes at ${from}`;
};

/** What a stopped device does to guest memory. */
export const QUIESCENCE_RULES: readonly Rule[] = [
  {
    id: 'VFIO-QSC-01',
    title: 'a stopped device writes no guest memory',
    party: 'driver',
    level: 'must',
    clause: 'uapi/stop',
    about:
      'In STOP and STOP_COPY the device does no DMA: what it wrote then is in no dirty bitmap that anybody still reads.',
    causes:
      'An error of the command that stops the device is passed over, or an arc to STOP has nothing to do.',
    needs,
    device: (view, scope) =>
      onWrite(
        view,
        ({ state, loaded }) => {
          if (isStopped(state) && !loaded) scope.check();
        },
        ({ state, loaded, leaving }, event) => {
          if (!isStopped(state) || loaded || leaving) return;
          scope.fail(event, `the device wrote ${where(event)} in ${state}`, ['no DMA']);
        },
      ),
    conformant: [
      ...d.open(),
      write,
      ...d.set('STOP'),
      ...d.set('STOP_COPY', true),
      ...d.set('RUNNING'),
      write,
    ],
    violating: [...d.open(), write, ...d.set('STOP'), write],
  },
  {
    id: 'VFIO-QSC-02',
    title: 'a device that is loaded writes no guest memory before it runs',
    party: 'driver',
    level: 'must',
    clause: 'uapi/stop',
    about:
      'From RESUMING until it runs the device does no DMA: guest memory may still be on its way, and what the driver puts into it is not what the guest had there.',
    causes:
      'The load moves the hardware by way of guest memory, such as a ring of dummy descriptors, or starts queues whose addresses were never set.',
    needs,
    device: (view, scope) =>
      onWrite(
        view,
        ({ loaded }) => {
          if (loaded) scope.check();
        },
        ({ state, loaded, leaving }, event) => {
          if (!isStopped(state) || !loaded || leaving) return;
          scope.fail(
            event,
            `the device wrote ${where(event)} in ${state}, and has not run since it was loaded`,
            ['no DMA'],
          );
        },
      ),
    conformant: [...d.open(), ...d.set('RESUMING', true), ...d.set('STOP'), ...d.set('RUNNING'), write],
    violating: [...d.open(), ...d.set('RESUMING', true), ...d.set('STOP'), write],
  },
  {
    id: 'VFIO-QSC-03',
    title: 'memory is written in a P2P state, or on the way out of STOP',
    party: 'driver',
    level: 'note',
    clause: 'uapi/running-p2p',
    about:
      'A P2P state only forbids new DMA to other devices, so DMA to memory is allowed. Many drivers stop all DMA there; and what is written during a request to run may come from the load and not from the running device.',
    causes:
      'A device that can hold back peer-to-peer DMA alone, or a load that works by way of guest memory.',
    needs,
    device: (view, scope) =>
      onWrite(
        view,
        ({ state }) => {
          if (isP2p(state)) scope.check();
        },
        ({ state, leaving }, event) => {
          const onTheWay = isStopped(state) && leaving;
          if (!isP2p(state) && !onTheWay) return;
          const when = onTheWay ? `on its way out of ${state}` : `in ${state}`;
          scope.fail(event, `the device wrote ${where(event)} ${when}`);
        },
      ),
    conformant: [...d.open(), write, ...d.set('RUNNING_P2P'), ...d.set('RUNNING')],
    violating: [...d.open(), ...d.set('RUNNING_P2P'), write],
  },
];
