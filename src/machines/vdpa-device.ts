import { from as clause } from './clauses.js';
import { createMachine, type Machine, stateIn } from './xstate.js';

/** The status of a vDPA device by the bit that counts most; of the order in which a driver sets them. */
export const VDPA_STATUS_STATES = [
  'reset',
  'acknowledged',
  'driver',
  'features_ok',
  'driver_ok',
  'failed',
] as const;
export type VdpaStatusState = (typeof VDPA_STATUS_STATES)[number];

/**
 * A device behind vhost-vdpa: its status register, whether it is suspended, and what may be asked of it when.
 *
 * Events: `STATUS.X` SET_STATUS to a value in which X is the bit that counts most, `STATUS.error` one that failed;
 * `NOW.X` a GET_STATUS; `SUSPEND.ok`, `SUSPEND.error`, `RESUME.ok`, `RESUME.error`; `BACKEND.late`,
 * `BACKEND.plain` SET_BACKEND_FEATURES with and without ENABLE_AFTER_DRIVER_OK; `ASK.features` SET_FEATURES,
 * `ASK.ring` SET_VRING_ADDR or SET_VRING_BASE, `ASK.base` GET_VRING_BASE, `ASK.group_asid` SET_GROUP_ASID,
 * `ASK.enable` SET_VRING_ENABLE with 1; `WRITE.memory` the device wrote guest memory.
 */
export function vdpaDevice(): Machine {
  const status = { meta: clause('vdpa/status') };
  const reset = { meta: clause('vdpa/reset') };
  const features = { meta: clause('vdpa/features') };
  const change = { meta: clause('vdpa/vring-change') };
  const enable = { meta: clause('vdpa/vring-enable') };
  const asid = { meta: clause('vdpa/group-asid') };
  const suspend = { meta: clause('vdpa/suspend') };
  const write = { meta: clause('vdpa/before-driver-ok') };
  const base = { meta: clause('vdpa/vring-base') };

  /** Bits are only added; what is read is what was written, or that the device has failed. */
  const steps = (from: VdpaStatusState, ...alsoRead: VdpaStatusState[]) => ({
    'STATUS.error': status,
    'STATUS.reset': { target: 'reset', ...reset },
    ...Object.fromEntries(
      VDPA_STATUS_STATES.slice(VDPA_STATUS_STATES.indexOf(from))
        .filter((to) => to !== 'reset')
        .map((to) => [`STATUS.${to}`, { target: to, ...status }]),
    ),
    ...Object.fromEntries(
      [from, 'failed' as const, ...alsoRead].map((to) => [`NOW.${to}`, { target: to, ...status }]),
    ),
  });
  const early = { 'ASK.ring': change, 'ASK.base': base, 'ASK.group_asid': asid, 'ASK.enable': enable };
  const negotiating = { ...early, 'ASK.features': features };

  return createMachine({
    id: 'vdpa-device',
    type: 'parallel',
    description: 'A vDPA device as vhost-vdpa shows it.',
    states: {
      status: {
        initial: 'reset',
        states: {
          reset: { description: 'Status 0.', ...reset, on: { ...steps('reset'), ...negotiating } },
          acknowledged: {
            description: 'ACKNOWLEDGE: the device was noticed.',
            ...status,
            on: { ...steps('acknowledged'), ...negotiating },
          },
          driver: {
            description: 'DRIVER: somebody can drive it.',
            ...status,
            on: { ...steps('driver'), ...negotiating },
          },
          features_ok: {
            description: 'FEATURES_OK: features are settled, rings are set up.',
            ...features,
            // A device that does not take the features lets the bit fall.
            on: { ...steps('features_ok', 'reset', 'acknowledged', 'driver'), ...early },
          },
          driver_ok: {
            description: 'DRIVER_OK: the device works.',
            ...status,
            on: {
              ...steps('driver_ok'),
              'ASK.ring': { guard: stateIn({ suspend: 'suspended' }), ...change },
              'ASK.base': { guard: stateIn({ suspend: 'suspended' }), ...base },
              'ASK.enable': { guard: stateIn({ late: 'allowed' }), ...enable },
              'WRITE.memory': write,
            },
          },
          failed: {
            description: 'FAILED: only a reset helps.',
            ...status,
            on: { ...steps('failed'), ...negotiating, 'WRITE.memory': write },
          },
        },
      },
      suspend: {
        initial: 'active',
        states: {
          active: {
            description: 'Not suspended.',
            ...suspend,
            on: {
              'SUSPEND.ok': [
                { target: 'suspended', guard: stateIn({ status: 'driver_ok' }), ...suspend },
                suspend,
              ],
              'SUSPEND.error': suspend,
              'RESUME.ok': { meta: clause('vdpa/resume') },
              'RESUME.error': { meta: clause('vdpa/resume') },
              'STATUS.reset': reset,
              'WRITE.memory': suspend,
            },
          },
          suspended: {
            description: 'Suspended: no ring is processed, nothing is lost.',
            ...suspend,
            on: {
              'SUSPEND.ok': suspend,
              'SUSPEND.error': suspend,
              'RESUME.ok': { target: 'active', meta: clause('vdpa/resume') },
              'RESUME.error': { meta: clause('vdpa/resume') },
              'STATUS.reset': { target: 'active', ...reset },
            },
          },
        },
      },
      late: {
        initial: 'not_allowed',
        states: {
          not_allowed: {
            description: 'ENABLE_AFTER_DRIVER_OK was not agreed on.',
            ...enable,
            on: { 'BACKEND.late': { target: 'allowed', ...enable }, 'BACKEND.plain': enable },
          },
          allowed: {
            description: 'Rings may be enabled after DRIVER_OK.',
            ...enable,
            on: { 'BACKEND.late': enable, 'BACKEND.plain': { target: 'not_allowed', ...enable } },
          },
        },
      },
    },
  });
}
