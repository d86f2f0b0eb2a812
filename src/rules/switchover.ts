import { device, vmm } from './example.js';
import type { Rule } from './rule.js';

const d = device();
const v = vmm();
const dst = device('vf0', 'destination');
const destination = vmm('destination');
const query = (ackTotal: number) => v.event('query_pending', { ackTotal });
const begin = [v.status('setup'), v.status('active')];

/** Switchover-ack, and the INIT_DATA_SENT records that ask for it. */
export const SWITCHOVER_RULES: readonly Rule[] = [
  {
    id: 'VMM-ACK-01',
    title: 'no switchover while an acknowledgement is outstanding',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/switchover-ack',
    about: 'A running VM is not stopped for the switchover while a device waits for its acknowledgement.',
    causes: 'The decision to switch over is made on pending bytes alone.',
    needs: ['query_pending', 'vm_state', 'switchover_ack'],
    refusal: {
      machine: 'switchover-ack',
      event: /^SWITCHOVER$/,
      exercisedBy: /^SWITCHOVER$/,
      message: () => 'the VM is stopped for the switchover while an acknowledgement is outstanding',
    },
    conformant: [
      v.start(),
      ...begin,
      query(1),
      v.event('switchover_ack', { pending: 0 }),
      query(0),
      v.stop(),
    ],
    violating: [v.start(), ...begin, query(1), v.stop(), v.event('switchover_ack', { pending: 0 })],
  },
  {
    id: 'VMM-ACK-02',
    title: 'an acknowledgement was asked for',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/switchover-ack',
    about:
      'The source counts its outstanding acknowledgements down to zero, and a new pending query finds what was left.',
    causes: 'The destination acknowledges twice, or the count underflows.',
    needs: ['query_pending', 'switchover_ack'],
    refusal: {
      machine: 'switchover-ack',
      event: /./,
      message: ({ events, before }) =>
        `${events.join(' or ')} came while the count was ${before.join(' or ')}`,
    },
    conformant: [
      ...begin,
      query(2),
      v.event('switchover_ack', { pending: 1 }),
      v.event('switchover_ack', { pending: 0 }),
    ],
    violating: [
      ...begin,
      query(1),
      v.event('switchover_ack', { pending: 0 }),
      v.event('switchover_ack', { pending: 1 }),
    ],
  },
  {
    id: 'VMM-ACK-03',
    title: 'the destination approves each device once',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/switchover-ack',
    about:
      'Up to QEMU 11.0 the destination counts the devices that support switchover-ack and approves each once.',
    causes: 'INIT_DATA_SENT comes twice for a device.',
    needs: ['switchover_ack_needed', 'switchover_approved'],
    refusal: {
      machine: 'switchover-ack-legacy',
      event: /./,
      exercisedBy: /^APPROVED/,
      message: () => 'a switchover is approved that no device waits for',
    },
    conformant: [
      destination.event('switchover_ack_needed', { pending: 1 }),
      destination.event('switchover_approved', { pending: 0 }),
    ],
    violating: [
      destination.event('switchover_ack_needed', { pending: 1 }),
      destination.event('switchover_approved', { pending: 0 }),
      destination.event('switchover_approved', { pending: 0 }),
    ],
  },
  {
    id: 'VMM-ACK-04',
    title: 'the switchover comes after the last approval',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/switchover-ack',
    about:
      'With switchover-ack the source sends SWITCHOVER_START only after the destination has approved, unless the VM was not running. Judged where the stop of the source for the switchover was seen: a VM that runs is stopped for it, one that its user has stopped is not.',
    causes: 'The capability is set on one side only, or the source ignores the missing ACK.',
    needs: ['switchover_ack_needed', 'switchover_start', 'switchover_approved', 'vm_state'],
    trace: (scope) => {
      const waiting = new Map<string, number>();
      let stopped: string | null = null;
      return {
        vm_state: ({ host, running, reason }) => {
          stopped = !running && reason === 'finish-migrate' ? host : null;
        },
        switchover_ack_needed: ({ host, pending }) => {
          waiting.set(host, pending);
        },
        switchover_approved: ({ host, pending }) => {
          waiting.set(host, pending ?? (waiting.get(host) ?? 0) - 1);
        },
        switchover_start: (event) => {
          if (event.sent) return;
          const left = waiting.get(event.host) ?? 0;
          waiting.delete(event.host);
          if (stopped === null || stopped === event.host) return;
          scope.check();
          if (left > 0) scope.fail(event, `SWITCHOVER_START came while ${left} devices had not approved`);
        },
      };
    },
    conformant: [
      destination.event('switchover_ack_needed', { pending: 1 }),
      destination.event('switchover_approved', { pending: 0 }),
      v.stop(),
      destination.event('switchover_start', { sent: false }),
      // Stopped by its user: it is not waited for, and not judged.
      v.start(),
      v.stop('paused'),
      destination.event('switchover_ack_needed', { pending: 1 }),
      destination.event('switchover_start', { sent: false }),
    ],
    violating: [
      destination.event('switchover_ack_needed', { pending: 2 }),
      destination.event('switchover_approved', { pending: 1 }),
      v.stop(),
      destination.event('switchover_start', { sent: false }),
    ],
  },
  {
    id: 'VMM-ACK-05',
    title: 'INIT_DATA_SENT comes once while devices are counted once',
    party: 'vmm',
    level: 'should',
    clause: 'qemu/switchover-ack',
    about: 'In the legacy form of switchover-ack a device sends INIT_DATA_SENT at most once.',
    causes: 'A source of QEMU 11.1 with the new form talks to a destination with the legacy form.',
    needs: ['load_record', 'switchover_ack_needed'],
    device: (view, scope) => {
      let sent = 0;
      return {
        device_open: () => {
          sent = 0;
        },
        load_cleanup: () => {
          sent = 0;
        },
        load_record: (event) => {
          if (event.tag !== 'DEV_INIT_DATA_SENT') return;
          scope.check();
          if (++sent > 1) scope.fail(event, `${view.id} sent INIT_DATA_SENT ${sent} times`);
        },
      };
    },
    conformant: [...resuming(), dst.event('load_record', { tag: 'DEV_INIT_DATA_SENT' })],
    violating: [
      ...resuming(),
      dst.event('load_record', { tag: 'DEV_INIT_DATA_SENT' }),
      dst.event('load_record', { tag: 'DEV_INIT_DATA_SENT' }),
    ],
  },
  {
    id: 'VMM-ACK-06',
    title: 'INIT_DATA_SENT follows the initial data',
    party: 'vmm',
    level: 'should',
    clause: 'qemu/switchover-ack',
    about: 'A device announces that its initial data was sent when no initial bytes are left.',
    causes: 'The flag is sent on a stale estimate.',
    needs: ['init_data_sent', 'state_pending'],
    device: (_view, scope) => {
      let left: number | undefined;
      return {
        state_pending: (event) => {
          left = event.initial;
        },
        save_iterate: (event) => {
          left = event.initial ?? left;
        },
        data_read: (event) => {
          if (left !== undefined && event.result > 0) left = Math.max(0, left - event.result);
        },
        init_data_sent: (event) => {
          if (left === undefined) return;
          scope.check();
          if (left > 0)
            scope.fail(event, `INIT_DATA_SENT is put into the stream while ${left} initial bytes are left`);
        },
      };
    },
    conformant: [
      ...saving(),
      d.event('state_pending', { initial: 24 }),
      d.read(24),
      d.event('init_data_sent'),
    ],
    violating: [...saving(), d.event('state_pending', { initial: 24 }), d.read(8), d.event('init_data_sent')],
  },
];

function resuming() {
  return [
    ...dst.open(),
    destination.event('destination_setup'),
    ...dst.call('RESUMING', 'RUNNING'),
    destination.event('switchover_ack_needed', { pending: 1 }),
  ];
}

function saving() {
  return [...d.open(), ...d.call('PRE_COPY', 'RUNNING')];
}
