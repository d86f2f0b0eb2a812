import { from as clause } from './clauses.js';
import { createMachine, type Machine, stateIn } from './xstate.js';

/**
 * A VMM puts its own rings between guest and vDPA device for a migration, and takes them away again.
 *
 * Events: `BASE.guest`, `BASE.shadow` SET_VRING_BASE for a ring of the guest, of the VMM; `RESET` the device was
 * reset; `MIGRATION.setup`, `.active`, `.completed`, `.failed` the status of a migration, the last one for all ways
 * in which it ends without success.
 */
export function vdpaShadow(): Machine {
  const setup = { meta: clause('svq/setup') };
  const off = { meta: clause('svq/off') };
  const ended = { 'MIGRATION.completed': { target: 'none', ...off } };
  return createMachine({
    id: 'vdpa-shadow',
    type: 'parallel',
    description: 'Shadow virtqueues of a vDPA device.',
    states: {
      rings: {
        initial: 'switching',
        states: {
          off: {
            description: "The device works on the guest's rings.",
            ...setup,
            on: { 'BASE.guest': setup, RESET: { target: 'switching', ...setup } },
          },
          switching: {
            description: 'The device is reset: it may start on rings of either kind.',
            ...setup,
            on: {
              'BASE.guest': { target: 'off', ...setup },
              'BASE.shadow': { target: 'on', ...setup },
              RESET: setup,
            },
          },
          on: {
            description: 'The device works on rings of the VMM.',
            ...setup,
            on: { 'BASE.shadow': setup, RESET: { target: 'switching', ...setup } },
          },
        },
      },
      migration: {
        initial: 'none',
        states: {
          none: {
            description: 'No migration.',
            ...off,
            on: {
              ...ended,
              'BASE.guest': off,
              'BASE.shadow': { target: 'always', ...setup },
              'MIGRATION.setup': { target: 'setup', ...setup },
              'MIGRATION.active': { target: 'active', ...setup },
              'MIGRATION.failed': { target: 'failed', ...off },
            },
          },
          setup: {
            description: 'A migration is set up: a device that works gets shadow virtqueues.',
            ...setup,
            on: {
              ...ended,
              'BASE.guest': setup,
              'BASE.shadow': setup,
              'MIGRATION.setup': setup,
              'MIGRATION.active': [
                { target: 'active', guard: stateIn({ rings: 'on' }), ...setup },
                { target: 'active', guard: stateIn({ rings: 'switching' }), ...setup },
              ],
              'MIGRATION.failed': { target: 'failed', ...off },
            },
          },
          active: {
            description: 'A migration runs.',
            ...setup,
            on: {
              ...ended,
              'BASE.guest': setup,
              'BASE.shadow': setup,
              'MIGRATION.active': setup,
              'MIGRATION.setup': { target: 'setup', ...setup },
              'MIGRATION.failed': { target: 'failed', ...off },
            },
          },
          failed: {
            description: "A migration failed or was cancelled: the device goes back to the guest's rings.",
            ...off,
            on: {
              ...ended,
              'BASE.guest': off,
              'MIGRATION.setup': { target: 'setup', ...setup },
              'MIGRATION.active': { target: 'active', ...setup },
              'MIGRATION.failed': off,
            },
          },
          always: {
            description: 'Shadow virtqueues without a migration: the user wants them always.',
            ...setup,
            on: {
              'BASE.guest': { target: 'none', ...off },
              'BASE.shadow': setup,
              'MIGRATION.setup': setup,
              'MIGRATION.active': setup,
              'MIGRATION.completed': setup,
              'MIGRATION.failed': setup,
            },
          },
        },
      },
    },
  });
}
