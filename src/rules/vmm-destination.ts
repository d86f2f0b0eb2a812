import { device, vmm } from './example.js';
import type { Rule } from './rule.js';

const d = device('vf0', 'destination');
const v = vmm('destination');
const needs = [
  'destination_setup',
  'set_state',
  'set_state_result',
  'load_config_start',
  'load_config_end',
] as const;

const load = [
  ...d.open(),
  v.status('setup'),
  v.status('active'),
  v.event('destination_setup'),
  ...d.call('RESUMING', 'RUNNING'),
  d.event('load_record', { tag: 'DEV_DATA_STATE' }),
  d.write(24),
  d.event('load_config_start'),
  d.event('load_config_end'),
  v.event('destination_load_end', { errno: 0 }),
];
const run = [v.start(), ...d.call('RUNNING_P2P'), d.prepare(true), ...d.call('RUNNING'), d.change(true)];
const end = [v.status('completed'), v.event('destination_cleanup'), d.event('load_cleanup')];
const at = (before: readonly string[]): string => before.join(' or ');

/** The VMM as destination: RESUMING, data, config, start. */
export const VMM_DESTINATION_RULES: readonly Rule[] = [
  {
    id: 'VMM-DST-01',
    title: 'RESUMING is requested in load_setup',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/load-order',
    about: 'load_setup asks for RESUMING, once, before anything of the stream is loaded.',
    causes: 'A second incoming migration on a device that still loads.',
    needs,
    refusal: {
      machine: 'vmm-destination',
      event: /^CALL\.RESUMING\./,
      message: ({ before }) => `RESUMING is requested while the incoming migration is ${at(before)}`,
    },
    conformant: [...load, ...run, ...end],
    violating: [...load, ...run, ...end, ...d.call('RESUMING', 'RUNNING')],
  },
  {
    id: 'VMM-DST-02',
    title: 'the VM starts when all is loaded',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/load-order',
    about: 'On the destination the VM starts after the data and the config state of each device were loaded.',
    causes: 'A start that does not wait for load threads, or a config section that is missing in the stream.',
    needs: [...needs, 'vm_state'],
    refusal: {
      machine: 'vmm-destination',
      event: /^VM\.start$/,
      exercisedBy: /^VM\.start$/,
      message: ({ before }) => `the VM starts while the incoming migration of the device is ${at(before)}`,
    },
    conformant: [...load, ...run, ...end],
    violating: [...load.slice(0, -3), v.start(), ...load.slice(-3), ...run, ...end],
  },
  {
    id: 'VMM-DST-03',
    title: 'the load handlers run in their order',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/load-order',
    about: 'load_setup, then records of the stream, then the config state, then cleanup.',
    causes: 'A stream whose sections come in another order, or a load that goes on after cleanup.',
    needs,
    refusal: {
      machine: 'vmm-destination',
      event: /^LOAD\./,
      message: ({ events, before }) =>
        `${events.join(' or ')} came while the incoming migration is ${at(before)}`,
    },
    conformant: [...load, ...run, ...end],
    violating: [...load, d.event('load_config_end'), ...run, ...end],
  },
  {
    id: 'VMM-DST-04',
    title: 'completed while the device is still in RESUMING',
    party: 'vmm',
    level: 'note',
    clause: 'qemu/completed',
    about:
      'When the source was paused, the destination reports completed and leaves its devices in RESUMING until cont. The driver checks the data only when RESUMING is left, so an error of the load can come after completed.',
    causes: 'A paused VM was migrated, or the destination was started with -S.',
    needs: ['migration_status', 'set_state_result', 'destination_setup'],
    host: (host, scope) => {
      let incoming = false;
      return {
        destination_setup: () => {
          incoming = true;
        },
        migration_status: (event) => {
          if (event.status !== 'completed' || !incoming) return;
          incoming = false;
          scope.check();
          for (const each of host.devices.values())
            if (each.state() === 'RESUMING')
              scope.fail(
                event,
                `the migration is completed and ${each.id} is in RESUMING: errors of its load could only come later`,
                ['RUNNING'],
                each.id,
              );
        },
      };
    },
    conformant: [...load, ...run, ...end],
    violating: [...load, ...end, ...run],
  },
  {
    id: 'VMM-DST-05',
    title: 'a load that failed is not completed',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/completed',
    about: 'After an error in loading the stream the incoming migration fails.',
    causes: 'The return value of a load handler or thread is lost.',
    needs: ['destination_load_end', 'migration_status'],
    host: (_host, scope) => {
      let errno = 0;
      return {
        destination_setup: () => {
          errno = 0;
        },
        destination_load_end: (event) => {
          errno = event.errno;
        },
        migration_status: (event) => {
          if (errno === 0) return;
          scope.check();
          if (event.status === 'completed')
            scope.fail(event, 'the migration is completed after its load has failed', ['failed']);
        },
      };
    },
    conformant: [...load.slice(0, -1), v.event('destination_load_end', { errno: 22 }), v.status('failed')],
    violating: [...load.slice(0, -1), v.event('destination_load_end', { errno: 22 }), v.status('completed')],
  },
  {
    id: 'VMM-DST-06',
    title: 'a write of device data that failed ends the load',
    party: 'vmm',
    level: 'must',
    clause: 'qemu/load-order',
    about: 'When the driver refuses device data, nothing more is written to it and the load fails.',
    causes: 'The result of the write is lost between the section loader and the load loop.',
    needs: ['data_write', 'destination_setup'],
    device: (_view, scope) => {
      let failed = false;
      const clear = () => {
        failed = false;
      };
      return {
        device_open: clear,
        reset: clear,
        load_cleanup: clear,
        data_write: (event) => {
          if (failed) {
            scope.fail(event, 'device data is written after an earlier write of the load has failed');
            failed = false;
          }
          if (event.result < 0) {
            scope.check();
            failed = true;
          }
        },
      };
    },
    conformant: [...load.slice(0, 6), d.write(-14), v.event('destination_load_end', { errno: 14 })],
    violating: [...load.slice(0, 6), d.write(-14), d.write(24)],
  },
];
