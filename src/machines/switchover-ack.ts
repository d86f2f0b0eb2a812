import { from as clause } from './clauses.js';
import { createMachine, type Machine } from './xstate.js';

/**
 * Switchover-ack as the source sees it (QEMU 11.1: devices ask in pending queries, and again after
 * REINIT; before, the destination asks once).
 *
 * Events: `ACK.needed` a query shows acknowledgements outstanding; `ACK.none` a query shows none;
 * `ACK.some` one came, more are outstanding; `ACK.all` the last came; `SWITCHOVER` the running VM is
 * stopped for the switchover; `SETUP` a new attempt begins.
 */
export function switchoverAck(): Machine {
  const meta = clause('qemu/switchover-ack');
  const to = (target: string) => ({ target, meta });
  return createMachine({
    id: 'switchover-ack',
    description: 'Acknowledgements that a switchover waits for, at the source.',
    initial: 'clear',
    states: {
      clear: {
        description: 'No acknowledgement is outstanding.',
        meta,
        on: {
          'ACK.needed': to('waiting'),
          'ACK.none': { meta },
          'ACK.all': { meta },
          SWITCHOVER: { meta },
          SETUP: { meta },
        },
      },
      waiting: {
        description: 'At least one device waits for its acknowledgement.',
        meta,
        on: {
          'ACK.needed': { meta },
          'ACK.some': { meta },
          'ACK.all': to('clear'),
          SETUP: to('clear'),
        },
      },
    },
  });
}

/**
 * Switchover-ack as a destination up to QEMU 11.0 counts it.
 *
 * Events: `NEED.some`, `NEED.none` after load_setup; `APPROVED.more`, `APPROVED.last` a device approved
 * and others are, or none is, outstanding; `SETUP` a new attempt begins.
 */
export function switchoverAckLegacy(): Machine {
  const meta = clause('qemu/switchover-ack');
  const to = (target: string) => ({ target, meta });
  const begin = { 'NEED.some': to('waiting'), 'NEED.none': to('clear'), SETUP: to('clear') };
  return createMachine({
    id: 'switchover-ack-legacy',
    description: 'Approvals that a destination up to QEMU 11.0 counts.',
    initial: 'clear',
    states: {
      clear: { description: 'No approval is outstanding.', meta, on: begin },
      waiting: {
        description: 'At least one device has not approved.',
        meta,
        on: { ...begin, 'APPROVED.more': { meta }, 'APPROVED.last': to('clear') },
      },
    },
  });
}
