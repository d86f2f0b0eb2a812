import { inPreCopy } from '../machines/vfio-arcs.js';
import { ERRNO } from '../uapi/errno.js';
import { device } from './example.js';
import type { Rule } from './rule.js';

const d = device();
const enter = [...d.open(), ...d.set('PRE_COPY', true)];

/** PRE_COPY: its data, its end, its queries. */
export const PRECOPY_RULES: readonly Rule[] = [
  {
    id: 'VFIO-PRE-01',
    title: 'the temporary end of PRE_COPY data is ENOMSG',
    party: 'driver',
    level: 'should',
    clause: 'uapi/precopy-eof',
    about:
      'When there is no more data for now in PRE_COPY or PRE_COPY_P2P, read() gives ENOMSG; 0 looks like the end of the stream.',
    causes: 'A read() that returns the bytes left of a fixed buffer; several merged drivers do it.',
    needs: ['data_read', 'set_state_result'],
    refusal: {
      machine: 'vfio-device',
      event: /^READ\.end$/,
      in: /^PRE_COPY/,
      where: ({ trace }) => trace.kind === 'data_read',
      exercisedBy: /^READ\.(ENOMSG|end)$/,
      message: () => 'read() gave 0 at the temporary end of PRE_COPY data',
    },
    conformant: [
      ...enter,
      d.event('data_read', { size: 0, result: 0 }),
      d.read(24),
      d.read(-42),
      ...d.set('STOP_COPY'),
      d.read(0),
    ],
    violating: [...enter, d.read(24), d.read(0)],
  },
  {
    id: 'VFIO-PRE-02',
    title: 'precopy info works in PRE_COPY',
    party: 'driver',
    level: 'must',
    clause: 'uapi/precopy-info',
    about:
      'VFIO_MIG_GET_PRECOPY_INFO is mandatory for a driver that offers PRE_COPY: it is not refused with EINVAL or ENOTTY in PRE_COPY or PRE_COPY_P2P.',
    causes: 'The ioctl is missing from the file operations of the save file.',
    needs: ['precopy_info', 'set_state_result'],
    refusal: {
      machine: 'vfio-device',
      event: /^PRECOPY_INFO\.refused$/,
      in: /^PRE_COPY/,
      exercisedBy: /^PRECOPY_INFO/,
      message: () => 'VFIO_MIG_GET_PRECOPY_INFO was refused in PRE_COPY',
    },
    conformant: [...enter, d.precopy(24, 0)],
    violating: [...enter, d.event('precopy_info', { errno: 25 })],
  },
  {
    id: 'VFIO-PRE-03',
    title: 'precopy info is refused outside PRE_COPY',
    party: 'driver',
    level: 'should',
    clause: 'uapi/precopy-info',
    about: 'VFIO_MIG_GET_PRECOPY_INFO gives EINVAL in every state but PRE_COPY and PRE_COPY_P2P.',
    causes: 'The driver checks the file and not the state.',
    needs: ['precopy_info', 'set_state_result'],
    refusal: {
      machine: 'vfio-device',
      event: /^PRECOPY_INFO\.ok$/,
      exercisedBy: /^PRECOPY_INFO\.refused$/,
      message: ({ before }) =>
        `VFIO_MIG_GET_PRECOPY_INFO succeeded in ${before.map((each) => each.split(' ')[0]).join(' or ')}`,
    },
    conformant: [...enter, ...d.set('STOP_COPY'), d.event('precopy_info', { errno: 22 })],
    violating: [...enter, ...d.set('STOP_COPY'), d.precopy(0, 0)],
  },
  {
    id: 'VFIO-PRE-04',
    title: 'dirty_bytes starts at zero',
    party: 'driver',
    level: 'should',
    clause: 'uapi/precopy-initial',
    about:
      'The first precopy info of a session, before any data was read, has no dirty_bytes: all there is to send is initial data.',
    causes: 'The driver counts its whole state as dirty, or reports the rest of the last session.',
    needs: ['precopy_info', 'set_state_result', 'data_read'],
    device: (_view, scope) => {
      let fresh = false;
      const spoil = () => {
        fresh = false;
      };
      return {
        set_state_result: (event) => {
          fresh =
            !event.errno &&
            (event.state === 'PRE_COPY' || event.state === 'PRE_COPY_P2P') &&
            event.dataFd !== false;
        },
        data_read: spoil,
        precopy_info: (event) => {
          if (!fresh || event.dirty === undefined || event.errno) return;
          scope.check();
          if (event.dirty > 0)
            scope.fail(event, `dirty_bytes is ${event.dirty} before anything was read`, ['dirty_bytes 0']);
          fresh = false;
        },
      };
    },
    conformant: [...enter, d.precopy(24, 0), d.read(24)],
    violating: [...enter, d.precopy(24, 8), d.read(24)],
  },
  {
    id: 'VFIO-PRE-05',
    title: 'initial_bytes only shrinks',
    party: 'driver',
    level: 'should',
    clause: 'uapi/precopy-initial',
    about:
      'Within a session initial_bytes shrinks as data is read; only VFIO_PRECOPY_INFO_REINIT announces new initial data.',
    causes: 'New state is counted as initial where it should be dirty, or REINIT is not set.',
    needs: ['precopy_info', 'set_state_result'],
    device: (view, scope) => {
      let last: number | null = null;
      return {
        set_state_result: (event) => {
          if (event.dataFd || !event.state || !inPreCopy(event.state)) last = null;
        },
        reset: () => {
          last = null;
        },
        precopy_info: (event) => {
          const state = view.state();
          if (event.errno || event.initial === undefined || state === null || !inPreCopy(state)) return;
          if (last !== null) {
            scope.check();
            if (event.initial > last && !event.reinit)
              scope.fail(event, `initial_bytes grew from ${last} to ${event.initial} without REINIT`, [
                `at most ${last}`,
              ]);
          }
          last = event.initial;
        },
      };
    },
    conformant: [...enter, d.precopy(24, 0), d.read(24), d.precopy(0, 8)],
    violating: [...enter, d.precopy(24, 0), d.read(24), d.precopy(32, 8)],
  },
  {
    id: 'VFIO-PRE-06',
    title: 'REINIT only after the opt-in',
    party: 'driver',
    level: 'must',
    clause: 'uapi/precopy-v2',
    about: 'VFIO_PRECOPY_INFO_REINIT is set only after user space opted in with MIG_PRECOPY_INFOv2.',
    causes: 'The driver copies the flags field back that user space passed.',
    needs: ['precopy_info', 'capabilities'],
    device: (view, scope) => ({
      precopy_info: (event) => {
        if (event.errno || event.reinit === undefined || view.precopyInfoV2 === undefined) return;
        scope.check();
        if (event.reinit && !view.precopyInfoV2)
          scope.fail(event, 'REINIT is set and nobody opted in to MIG_PRECOPY_INFOv2');
      },
    }),
    conformant: [...enter, d.event('capabilities', { precopyInfoV2: true }), d.precopy(24, 0, true)],
    violating: [...enter, d.event('capabilities', { precopyInfoV2: false }), d.precopy(24, 0, true)],
  },
  {
    id: 'VFIO-PRE-07',
    title: 'REINIT comes without dirty bytes',
    party: 'driver',
    level: 'must',
    clause: 'uapi/precopy-v2',
    about: 'With REINIT initial_bytes holds the new initial data and dirty_bytes is zero.',
    causes: 'The driver adds new initial data and keeps its dirty count.',
    needs: ['precopy_info'],
    device: (_view, scope) => ({
      precopy_info: (event) => {
        if (event.errno || !event.reinit || event.dirty === undefined) return;
        scope.check();
        if (event.dirty > 0)
          scope.fail(event, `REINIT came with dirty_bytes ${event.dirty}`, ['dirty_bytes 0']);
      },
    }),
    conformant: [...enter, d.precopy(24, 0, true)],
    violating: [...enter, d.precopy(24, 8, true)],
  },
  {
    id: 'VFIO-PRE-08',
    title: 'initial data is read before the switchover',
    party: 'vmm',
    level: 'note',
    clause: 'uapi/precopy-initial',
    about:
      'The VMM leaves PRE_COPY for STOP_COPY when initial_bytes has reached zero; the uAPI recommends it, since what is left adds to downtime.',
    causes: 'A downtime limit so large that the switchover comes at once; switchover-ack prevents it.',
    needs: ['precopy_info', 'set_state', 'set_state_result'],
    device: (view, scope) => {
      let left: number | null = null;
      return {
        set_state_result: (event) => {
          if (!event.state || !inPreCopy(event.state)) left = null;
        },
        precopy_info: (event) => {
          if (!event.errno && event.initial !== undefined) left = event.initial;
        },
        data_read: (event) => {
          if (left !== null && event.result > 0) left = Math.max(0, left - event.result);
        },
        set_state: (event) => {
          const before = view.before();
          if (event.state !== 'STOP_COPY' || left === null || before === null || !inPreCopy(before)) return;
          scope.check();
          if (left > 0)
            scope.fail(event, `${left} initial bytes were not read before STOP_COPY`, ['initial_bytes 0']);
        },
      };
    },
    conformant: [...enter, d.precopy(24, 0), d.read(24), ...d.set('STOP_COPY')],
    violating: [...enter, d.precopy(24, 0), d.read(8), ...d.set('STOP_COPY')],
  },
  {
    id: 'VFIO-PRE-09',
    title: 'no ENOMSG while data is announced',
    party: 'driver',
    level: 'note',
    clause: 'uapi/precopy-eof',
    about: 'A read() right after a precopy info that announces bytes gives data.',
    causes: 'Sizes are estimated by firmware and the image is made later.',
    needs: ['precopy_info', 'data_read'],
    device: (_view, scope) => {
      let announced = 0;
      return {
        set_state: () => {
          announced = 0;
        },
        precopy_info: (event) => {
          announced = event.errno ? 0 : (event.initial ?? 0) + (event.dirty ?? 0);
        },
        data_read: (event) => {
          if (announced > 0) {
            scope.check();
            if (event.result === -ERRNO.ENOMSG!)
              scope.fail(event, `read() gave ENOMSG right after ${announced} bytes were announced`);
          }
          announced = 0;
        },
      };
    },
    conformant: [...enter, d.precopy(24, 0), d.read(24), d.read(-42)],
    violating: [...enter, d.precopy(24, 0), d.read(-42)],
  },
];
