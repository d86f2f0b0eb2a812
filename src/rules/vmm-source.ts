import { device } from './example.js';
import { begin, cleanup, whole } from './migration-example.js';
import type { Rule } from './rule.js';

const d = device();

const orderNeeds = [
  'notifier',
  'save_setup',
  'source_cleanup',
  'save_cleanup',
  'set_state',
  'set_state_result',
] as const;

/** The VMM as source: its save handlers and notifiers, for each device. */
export const VMM_SOURCE_RULES: readonly Rule[] = [
  {
    id: 'VMM-SRC-01',
    title: 'PRE_COPY is requested in the set-up of a migration',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/save-order',
    about: 'save_setup asks for PRE_COPY, after the set-up was notified and before anything is iterated.',
    causes: 'A second save_setup, or a migration that was not cleaned up.',
    needs: orderNeeds,
    refusal: {
      machine: 'vmm-source',
      event: /^CALL\.PRE_COPY\.RUNNING$/,
      message: ({ before }) => `PRE_COPY is requested while the outgoing migration is ${outgoing(before)}`,
    },
    conformant: whole,
    violating: [...whole, ...d.call('PRE_COPY', 'RUNNING')],
  },
  {
    id: 'VMM-SRC-02',
    title: 'STOP_COPY for the drain is requested in the final drain',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/save-order',
    about: 'save_complete asks for STOP_COPY after the drain began and before it ended.',
    causes: 'Handlers that run in another order.',
    needs: [...orderNeeds, 'save_complete_start'],
    refusal: {
      machine: 'vmm-source',
      event: /^CALL\.STOP_COPY\.STOP$/,
      message: ({ before }) =>
        `STOP_COPY is requested for the drain while the outgoing migration is ${outgoing(before)}`,
    },
    conformant: whole,
    violating: [...whole, ...d.call('STOP_COPY', 'STOP'), ...d.call('STOP')],
  },
  {
    id: 'VMM-SRC-03',
    title: 'the save handlers run in their order',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/save-order',
    about:
      'save_setup, iteration, final drain, config state: each once or as often as it may, in this order.',
    causes: 'Handlers that run twice, or after cleanup.',
    needs: [...orderNeeds, 'save_complete_start'],
    refusal: {
      machine: 'vmm-source',
      event: /^SAVE\.(?!cleanup)/,
      message: ({ events, before }) =>
        `${WORDS[events[0]!]} while the outgoing migration is ${outgoing(before)}`,
    },
    conformant: whole,
    violating: [...whole, d.event('save_iterate')],
  },
  {
    id: 'VMM-SRC-04',
    title: 'a migration is cleaned up once',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/save-order',
    about:
      'save_cleanup of each device runs in the cleanup of the migration, which comes once for each attempt.',
    causes: 'An error path that cleans up twice, or not at all.',
    needs: orderNeeds,
    refusal: {
      machine: 'vmm-source',
      event: /^(CLEANUP|SAVE\.cleanup)$/,
      message: ({ events, before }) =>
        `${WORDS[events[0]!]} while the outgoing migration is ${outgoing(before)}`,
    },
    conformant: whole,
    violating: [...begin, d.event('save_cleanup'), ...cleanup.slice(0, 1), d.event('save_cleanup')],
  },
  {
    id: 'VMM-SRC-05',
    title: 'notifiers are called at their time',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/rollback',
    about:
      'SETUP begins an attempt, DONE follows the cleanup of one that succeeded, FAILED comes once, after the failure.',
    causes: 'An event that is sent for another migration mode, or twice.',
    needs: orderNeeds,
    refusal: {
      machine: 'vmm-source',
      event: /^NOTIFIER\./,
      message: ({ events, before }) =>
        `the notifier ${events.map((each) => each.slice(9)).join(' or ')} is called while the outgoing migration is ${outgoing(before)}`,
    },
    conformant: whole,
    violating: [...whole, d.event('notifier', { event: 'done' })],
  },
];

const WORDS: Readonly<Record<string, string>> = {
  'SAVE.setup': 'save_setup ends',
  'SAVE.iterate': 'a PART section is written',
  'SAVE.drain': 'the final drain begins',
  'SAVE.drained': 'the final drain ends',
  'SAVE.config': 'the config state is written',
  'SAVE.cleanup': 'save_cleanup ends',
  CLEANUP: 'save_cleanup of all entries begins',
};

/** Where the outgoing migration of a device was; it is the second region of the machine. */
function outgoing(before: readonly string[]): string {
  const states = before.map((each) => each.split(' ')[1]!);
  return [...new Set(states.map((state) => (state === 'none' ? 'not begun' : state)))].join(' or ');
}
