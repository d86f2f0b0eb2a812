import { isRunning, requestedPath } from '../machines/vfio-arcs.js';
import type { EventOf } from '../trace/event.js';
import { errnoName } from '../uapi/errno.js';
import type { MigState } from '../uapi/vfio.js';
import { blame } from './errors.js';
import { device } from './example.js';
import type { DeviceView, Rule, Scope, Watch } from './rule.js';
import { type Load, Transfers } from './transfers.js';

const d = device();
const src = device('vf0', 'source');
const dst = device('vf0', 'destination');

const saved = [...src.open(), ...src.set('STOP_COPY', true), src.read(8), src.read(0)];
const loading = [...dst.open(), ...dst.set('RESUMING', true)];

/** What a driver checks of the data that it loads, seen with the data that another device gave. */
export const LOADING_RULES: readonly Rule[] = [
  {
    id: 'VFIO-SES-15',
    title: 'RESUMING is not left with success before all data has come',
    party: 'driver',
    level: 'must',
    clause: 'uapi/resuming-stop',
    about:
      'The source gave its stream to the permanent end, and the destination was written fewer bytes than came from STOP_COPY alone: the data is incomplete, so leaving RESUMING fails. Judged only for two hosts whose devices can be matched.',
    causes:
      'The driver does not count at the arc, loads at a later one, or fills up a buffer whose rest is zeros that pass for the end.',
    needs: ['data_read', 'data_write', 'set_state_result'],
    trace: (scope) => {
      const transfers = new Transfers();
      return {
        ...transfers.watch,
        end: () => {
          for (const { given, load } of transfers.matched('left')) {
            scope.check();
            if (load.bytes < given.final)
              scope.fail(
                load.event,
                `RESUMING was left with success after ${load.bytes} bytes, and the source gave ${given.final} in STOP_COPY`,
                ['failure of the request'],
              );
          }
        },
      };
    },
    conformant: [...saved, ...loading, dst.write(8), ...dst.set('STOP')],
    violating: [...saved, ...loading, dst.write(5), ...dst.set('STOP')],
  },
  {
    id: 'VFIO-SES-16',
    title: 'what one device gave the other takes',
    party: 'driver',
    level: 'note',
    clause: 'uapi/resuming',
    about:
      'A stream that was read to its end is taken by a compatible device. Whether the devices are compatible, and the bytes arrived as they were, does not show in a trace.',
    causes:
      'Devices that do not go together; or a source that gives the same bytes twice, cuts a field, or puts something behind its state.',
    needs: ['data_read', 'data_write', 'set_state_result'],
    trace: (scope) => {
      const transfers = new Transfers();
      return {
        ...transfers.watch,
        end: () => {
          for (const { given, load } of transfers.matched('refused')) {
            scope.check();
            const whole = load.event.kind === 'data_write' || load.bytes >= given.bytes;
            if (whole) scope.fail(load.event, refusalWords(load));
          }
          for (const { given, load } of transfers.matched('left'))
            if (load.bytes >= given.bytes) scope.check();
        },
      };
    },
    conformant: [...saved, ...loading, dst.write(8), ...dst.set('STOP')],
    violating: [...saved, ...loading, dst.write(8), ...dst.fail('STOP', 'RESUMING')],
  },
  {
    id: 'VFIO-SES-17',
    title: 'an error of the load shows when RESUMING is left',
    party: 'driver',
    level: 'should',
    clause: 'uapi/resuming-stop',
    about:
      'The arc from RESUMING to STOP completes and checks the new state. When it succeeds the next arc does not fail for what was loaded: by then nobody can go back to the source.',
    causes: 'RESUMING to STOP has nothing to do, and the state is loaded on the way from STOP to RUNNING.',
    needs: ['set_state', 'set_state_result'],
    device: (view, scope) => onLateError(view, scope, 'driver'),
    conformant: [...d.open(), ...d.set('RESUMING', true), d.write(8), ...d.set('STOP'), ...d.set('RUNNING')],
    violating: [...d.open(), ...d.set('RESUMING', true), d.write(8), ...d.fail('RUNNING', 'STOP')],
  },
  {
    id: 'VFIO-SES-20',
    title: 'the hardware takes what it was given before RESUMING is left',
    party: 'driver',
    level: 'note',
    clause: 'uapi/resuming-stop',
    about: 'As VFIO-SES-17, for errors such as EIO: hardware may fail at any time, also right after a load.',
    causes:
      'The state is put into the hardware on the way from STOP to RUNNING, and the hardware does not take it.',
    needs: ['set_state', 'set_state_result'],
    device: (view, scope) => onLateError(view, scope, 'hardware'),
    conformant: [...d.open(), ...d.set('RESUMING', true), d.write(8), ...d.set('STOP'), ...d.set('RUNNING')],
    violating: [...d.open(), ...d.set('RESUMING', true), d.write(8), ...d.fail('RUNNING', 'STOP', 'EIO')],
  },
];

function refusalWords({ event, bytes }: Load): string {
  return event.kind === 'data_write'
    ? `data that the source gave is refused with ${errnoName(event.result)} after ${bytes} bytes`
    : `all ${bytes} bytes that the source gave are here, and leaving RESUMING fails`;
}

function onLateError(view: DeviceView, scope: Scope, who: 'driver' | 'hardware'): Watch {
  let asked: MigState | null = null;
  /** RESUMING was left for STOP with success, and no arc has followed. */
  let checked = false;
  const anew = () => {
    checked = false;
  };
  const judge = (event: EventOf<'set_state_result'>, from: MigState) => {
    scope.check();
    if (event.errno && blame(event.errno) === who && hasWay(view, from, asked!))
      scope.fail(
        event,
        `RESUMING was left for STOP with success, and the next arc to ${asked} fails with ${errnoName(event.errno)}`,
        ['the error at RESUMING -> STOP'],
      );
  };
  return {
    device_open: anew,
    reset: anew,
    set_state: ({ state }) => {
      asked = typeof state === 'string' ? state : null;
    },
    set_state_result: (event) => {
      const before = view.before();
      const now = view.state();
      const runs = asked !== null && isRunning(asked) && event.errno !== undefined;
      if (before === 'RESUMING' && runs && (event.errno === 0 || now === 'STOP')) judge(event, 'RESUMING');
      else if (before === 'STOP' && checked && runs) judge(event, 'STOP');
      checked = before === 'RESUMING' && event.errno === 0 && now === 'STOP';
      asked = null;
    },
  };
}

/** Whether the request is one that the device has a way for; a wrong one says nothing about a load. */
function hasWay(view: DeviceView, from: MigState, to: MigState): boolean {
  return view.capabilities().every((caps) => requestedPath(from, to, caps) !== null);
}
