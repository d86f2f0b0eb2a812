import { inSavingGroup } from '../machines/vfio-arcs.js';
import type { TraceEvent } from '../trace/event.js';
import { ERRNO, errnoName } from '../uapi/errno.js';
import { device } from './example.js';
import type { Rule } from './rule.js';

const d = device();
const target = (event: string): string => event.split('.')[1] ?? '';

/** The data transfer session: its fd, its reads and writes. */
export const SESSION_RULES: readonly Rule[] = [
  {
    id: 'VFIO-SES-01',
    title: 'entering the saving group or RESUMING returns a data_fd',
    party: 'driver',
    level: 'must',
    clause: 'uapi/data-fd',
    about:
      'A request that enters PRE_COPY, PRE_COPY_P2P or STOP_COPY from outside the saving group, or RESUMING, returns a new data_fd.',
    causes:
      'The driver keeps the file of an earlier session, or returns NULL for an arc in the middle of a combination.',
    needs: ['set_state_result'],
    refusal: {
      machine: 'vfio-device',
      event: /^SET\./,
      where: ({ events }) => events.every((event) => !event.endsWith('.data_fd')),
      exercisedBy: /\.data_fd$/,
      message: ({ events }) => `${target(events[0]!)} was entered and no data_fd came with it`,
    },
    conformant: [...d.open(), ...d.set('PRE_COPY', true)],
    violating: [...d.open(), ...d.set('STOP_COPY', false)],
  },
  {
    id: 'VFIO-SES-02',
    title: 'no data_fd where no session begins',
    party: 'driver',
    level: 'must',
    clause: 'uapi/saving-group',
    about:
      'Inside the saving group the session goes on with the fd it has; a request that begins no session returns -1 in data_fd.',
    causes: 'The driver opens a second file on PRE_COPY to STOP_COPY, or leaves data_fd uninitialised.',
    needs: ['set_state_result'],
    refusal: {
      machine: 'vfio-device',
      event: /\.data_fd$/,
      exercisedBy: /^SET\.[A-Z0-9_]+$/,
      message: ({ events }) => `a data_fd came with ${target(events[0]!)}, where no session begins`,
    },
    conformant: [...d.open(5), ...d.set('PRE_COPY', true), ...d.set('STOP_COPY', false)],
    violating: [...d.open(5), ...d.set('PRE_COPY', true), ...d.set('STOP_COPY', true)],
  },
  {
    id: 'VFIO-SES-03',
    title: 'an fd whose session has ended gives no data',
    party: 'driver',
    level: 'must',
    clause: 'uapi/stop-copy-end',
    about: 'Leaving the saving group, and a reset, end the session: later reads on its fd fail.',
    causes: 'The driver does not mark the file as disabled when it leaves the state.',
    needs: ['set_state_result', 'data_read'],
    refusal: {
      machine: 'vfio-device',
      event: /^READ\.(data|end|ENOMSG)$/,
      in: / none$/,
      where: ({ trace }) => trace.kind === 'data_read',
      exercisedBy: /^READ\.error$/,
      message: ({ before }) => `a read succeeded in ${first(before)}, where no session is open`,
    },
    conformant: [...d.open(), ...d.set('STOP_COPY', true), d.read(8), ...d.set('RUNNING'), d.read(-19)],
    violating: [...d.open(), ...d.set('STOP_COPY', true), d.read(8), ...d.set('RUNNING'), d.read(8)],
  },
  {
    id: 'VFIO-SES-14',
    title: 'an fd whose session has ended takes no data',
    party: 'driver',
    level: 'must',
    clause: 'uapi/resuming-stop',
    about: 'Leaving RESUMING, and a reset, end the session: later writes on its fd fail.',
    causes: 'The file stays attached to the device when RESUMING is left, or after a reset.',
    needs: ['set_state_result', 'data_write'],
    refusal: {
      machine: 'vfio-device',
      event: /^WRITE\.ok$/,
      in: / none$/,
      exercisedBy: /^WRITE\.error$/,
      message: ({ before }) => `a write succeeded in ${first(before)}, where no session is open`,
    },
    conformant: [...d.open(), ...d.set('RESUMING', true), d.write(8), ...d.set('STOP'), d.write(-19)],
    violating: [...d.open(), ...d.set('RESUMING', true), d.write(8), ...d.set('STOP'), d.write(8)],
  },
  {
    id: 'VFIO-SES-04',
    title: 'the end of data in STOP_COPY is permanent',
    party: 'driver',
    level: 'must',
    clause: 'uapi/precopy-eof',
    about: 'In STOP_COPY read() gives data and then 0 for ever; it never gives ENOMSG.',
    causes: 'The driver answers from its PRE_COPY path, or its state grows after the end was told.',
    needs: ['data_read', 'set_state_result'],
    refusal: {
      machine: 'vfio-device',
      event: /^READ\.(data|ENOMSG)$/,
      in: /^STOP_COPY/,
      exercisedBy: /^READ\./,
      message: ({ events }) =>
        events[0] === 'READ.data'
          ? 'read() gave data after the permanent end of the stream'
          : 'read() gave ENOMSG in STOP_COPY',
    },
    conformant: [...d.open(), ...d.set('STOP_COPY', true), d.read(8), d.read(0), d.read(0)],
    violating: [...d.open(), ...d.set('STOP_COPY', true), d.read(8), d.read(0), d.read(8)],
  },
  {
    id: 'VFIO-SES-06',
    title: 'a migration is complete only at the end of the stream',
    party: 'vmm',
    level: 'must',
    clause: 'uapi/stop-copy',
    about: 'The VMM ends the final drain of a device only after read() gave 0 in STOP_COPY.',
    causes: 'An early return of the save loop, or a drain that runs before the device was stopped.',
    needs: ['save_complete', 'set_state_result'],
    refusal: {
      machine: 'vfio-device',
      event: /^READ\.end$/,
      where: ({ trace }) => trace.kind === 'save_complete',
      message: ({ before }) => `the final drain ended without error while the device was in ${first(before)}`,
    },
    conformant: [...d.open(), ...d.set('STOP_COPY', true), d.read(8), d.event('save_complete', { errno: 0 })],
    violating: [...d.open(), ...d.set('PRE_COPY', true), d.read(8), d.event('save_complete', { errno: 0 })],
  },
  {
    id: 'VFIO-SES-05',
    title: 'device data is written only in RESUMING and read only in the saving group',
    party: 'vmm',
    level: 'must',
    clause: 'uapi/resuming',
    about:
      'The fd of a save is read, the fd of a restore is written, each while the device is in a state that has it.',
    causes: 'The VMM mixes up fds, or loads before it has asked for RESUMING.',
    needs: ['set_state_result'],
    refusal: {
      machine: 'vfio-device',
      event: /^(READ|WRITE)\./,
      message: ({ trace, before }) =>
        `a ${trace.kind === 'data_write' ? 'write' : 'read'} of device data succeeded in ${first(before)}`,
      exercisedBy: /^(READ\.data|WRITE\.ok)$/,
    },
    conformant: [...d.open(), ...d.set('RESUMING', true), d.write(8)],
    violating: [...d.open(), ...d.set('STOP_COPY', true), d.write(8)],
  },
  {
    id: 'VFIO-SES-08',
    title: 'the VMM closes the data_fd when it is done',
    party: 'vmm',
    level: 'should',
    clause: 'uapi/data-fd',
    about:
      'The user closes the data_fd of a session that has ended. One that is still open when the next session begins may be on its way; two are a leak.',
    causes:
      'An error path that forgets the fd; QEMU then fails the next migration with "data_fd out of sync".',
    needs: ['data_close', 'set_state_result'],
    device: (_view, scope) => {
      let open = 0;
      return {
        device_open: () => {
          open = 0;
        },
        set_state_result: (event) => {
          if (event.errno !== 0 || !event.dataFd) return;
          scope.check();
          if (++open > 2)
            scope.fail(event, `a new session begins and ${open - 1} earlier data_fds were never closed`);
        },
        data_close: () => {
          open = Math.max(0, open - 1);
        },
      };
    },
    conformant: [...d.open(), ...saveAndStop(), d.close(), ...saveAndStop(), d.close(), ...saveAndStop()],
    violating: [...d.open(), ...saveAndStop(), ...saveAndStop(), ...saveAndStop(), d.close()],
  },
  {
    id: 'VFIO-SES-12',
    title: 'a read or write moves no more than was offered',
    party: 'driver',
    level: 'must',
    clause: 'uapi/data-fd',
    about: 'read() and write() on a data_fd return at most the size they were called with.',
    causes: 'The driver returns the size of its own chunk.',
    needs: ['set_state_result'],
    device: (_view, scope) => {
      const compare = (event: Extract<TraceEvent, { kind: 'data_read' | 'data_write' }>) => {
        if (event.size === undefined) return;
        scope.check();
        if (event.result > event.size)
          scope.fail(event, `${event.result} bytes moved, ${event.size} were asked for`, [
            `at most ${event.size}`,
          ]);
      };
      return { data_read: compare, data_write: compare };
    },
    conformant: [...d.open(), ...d.set('STOP_COPY', true), d.event('data_read', { size: 8, result: 8 })],
    violating: [...d.open(), ...d.set('STOP_COPY', true), d.event('data_read', { size: 8, result: 16 })],
  },
  {
    id: 'VFIO-SES-13',
    title: 'the data size can be asked in every state',
    party: 'driver',
    level: 'should',
    clause: 'uapi/data-size',
    about: 'GET of MIG_DATA_SIZE answers in every state but ERROR.',
    causes: 'The driver computes the size from a session and has none.',
    needs: ['data_size'],
    refusal: {
      machine: 'vfio-device',
      event: /^DATA_SIZE\.error$/,
      exercisedBy: /^DATA_SIZE/,
      message: ({ before }) => `MIG_DATA_SIZE failed in ${first(before)}`,
    },
    conformant: [...d.open(), ...d.set('STOP'), d.event('data_size', { bytes: 60, errno: 0 })],
    violating: [...d.open(), ...d.set('STOP'), d.event('data_size', { errno: 22 })],
  },
  {
    id: 'VFIO-SES-19',
    title: 'a read of an open session does not fail',
    party: 'driver',
    level: 'note',
    clause: 'uapi/stop-copy',
    about:
      'While a session is open read() gives data, the temporary or the permanent end. Any other error is the end of the migration for most VMMs, and a number that user space does not expect tells nobody why.',
    causes: 'The error of a firmware command is handed on, or an image that is too large for PRE_COPY.',
    needs: ['data_read', 'set_state_result'],
    device: (view, scope) => ({
      data_read: (event) => {
        const state = view.state();
        if (state === null || !inSavingGroup(state)) return;
        scope.check();
        if (event.result < 0 && !EXPECTED_OF_READ.has(-event.result))
          scope.fail(event, `read() failed with ${errnoName(event.result)} in ${state}`, [
            'data',
            '0',
            'ENOMSG',
          ]);
      },
    }),
    conformant: [...d.open(), ...d.set('STOP_COPY', true), d.read(8), d.read(0)],
    violating: [...d.open(), ...d.set('STOP_COPY', true), d.read(8), d.read(-121)],
  },
];

/** The end for now, errors that mean "once more", and those that speak of the caller's buffer or of the fd of another session. */
const EXPECTED_OF_READ = new Set(
  ['ENOMSG', 'EAGAIN', 'EINTR', 'EBADF', 'ENODEV', 'EFAULT'].map((name) => ERRNO[name]!),
);

const first = (before: readonly string[]): string => before.map((each) => each.split(' ')[0]).join(' or ');

function saveAndStop(): TraceEvent[] {
  return [...d.set('STOP_COPY', true), ...d.set('STOP')];
}
