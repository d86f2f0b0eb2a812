import { migrationStatus, runState, switchoverAck } from '../../machines/index.js';
import { switchoverAckLegacy } from '../../machines/switchover-ack.js';
import type { MigrationStatus, RunState } from '../../uapi/qemu.js';
import { type ComponentHandle, ModelBuilder, type VariableHandle } from '../builder.js';
import { and, type Expression, eq, gt, max, or, plus } from '../expression.js';
import type { ModelEntry, ModelOptions, Sync } from '../model.js';
import { addDevice, capabilitiesOf, type DeviceHandle } from './vfio-parts.js';

/** The parts of the switchover-ack model: machines, data, and what is said of them. */

export interface AckDevice {
  readonly name: string;
  readonly device: DeviceHandle;
  /** Initial data that is to be sent. */
  readonly initial: VariableHandle;
  /** REINIT stands in the precopy info, and the VMM has not seen it. */
  readonly again: VariableHandle;
  /** The VMM asks for an acknowledgement at its next query. */
  readonly requested: VariableHandle;
  readonly onTheWay: VariableHandle;
  readonly loaded: VariableHandle;
  /** Of the protocol before 11.1: INIT_DATA_SENT was sent, and data goes without it. */
  readonly legacy: { readonly announced: VariableHandle; readonly quiet: VariableHandle } | null;
}

export class SwitchoverAck {
  readonly model: ModelBuilder;
  /** The protocol up to QEMU 11.0. */
  readonly legacy: boolean;
  readonly status: ComponentHandle;
  readonly vm: ComponentHandle;
  /** Who counts: the source, or before 11.1 the destination. */
  readonly ack: ComponentHandle;
  readonly live: VariableHandle;
  readonly late: VariableHandle;
  readonly pending: VariableHandle;
  readonly acks: VariableHandle;
  readonly reinits: VariableHandle;
  /** The first query was made; before 11.1: the destination has counted. */
  readonly counted: VariableHandle;
  /** Before 11.1: the source has its acknowledgement. */
  readonly acked: VariableHandle | null;
  readonly devices: readonly AckDevice[];
  /** Most acknowledgements that may be outstanding. */
  readonly most: number;

  constructor(
    entry: ModelEntry,
    readonly options: ModelOptions,
  ) {
    const { devices, faults } = options;
    const model = new ModelBuilder(entry.name, entry.title, options);
    this.model = model;
    this.legacy = this.is('qemu-11.0');
    this.most = this.legacy ? devices : devices + faults;
    this.status = model.component('status', migrationStatus());
    this.vm = model.component('VM', runState());
    this.ack = this.legacy
      ? model.component('switchover-ack-legacy', switchoverAckLegacy())
      : model.component('switchover-ack', switchoverAck());
    this.live = model.variable('live', 'its user has not stopped the VM', 1, 1);
    this.late = model.variable('late', 'a device has had REINIT after the decision', 1);
    this.pending = model.variable('pending', 'acknowledgements that are waited for', this.most);
    this.acks = model.variable('acks', 'acknowledgements on the return path', this.most + 1);
    this.reinits = model.variable('reinits', 'how often devices may ask again', faults, faults);
    this.counted = model.variable('counted', 'what is waited for was counted', 1);
    this.acked = this.legacy ? model.variable('acked', 'the source has its acknowledgement', 1) : null;
    this.devices = Array.from({ length: devices }, (_, index) => this.#device(index));
  }

  #device(index: number): AckDevice {
    const { model, options } = this;
    const device = addDevice(model, index, 'src', { caps: capabilitiesOf(options, index), alone: true });
    return {
      name: device.device,
      device,
      initial: model.variable(`initial ${index}`, 'initial data is to be sent', 1),
      again: model.variable(`again ${index}`, 'REINIT that the VMM has not seen', 1),
      requested: model.variable(`requested ${index}`, 'an acknowledgement is asked for at the next query', 1),
      onTheWay: model.variable(`on the way ${index}`, 'initial data in the channel', 1 + options.faults),
      loaded: model.variable(`loaded ${index}`, 'the destination has the newest initial data', 1),
      legacy: this.legacy
        ? {
            announced: model.variable(`announced ${index}`, 'INIT_DATA_SENT was sent', 1),
            quiet: model.variable(`quiet ${index}`, 'new initial data in the channel, not announced', 1),
          }
        : null,
    };
  }

  is(variant: string): boolean {
    return this.options.variant === variant;
  }

  statusIs(...statuses: readonly MigrationStatus[]): Expression {
    return this.status.in('migration-status', ...statuses);
  }

  becomes(status: MigrationStatus): Sync {
    return this.status.on(`STATUS.${status}`);
  }

  vmIs(...states: readonly RunState[]): Expression {
    return this.vm.in('run-state', ...states);
  }

  all(make: (device: AckDevice) => Expression): Expression {
    return and(...this.devices.map(make));
  }

  some(make: (device: AckDevice) => Expression): Expression {
    return or(...this.devices.map(make));
  }

  sum(make: (device: AckDevice) => Expression): Expression {
    return plus(...this.devices.map(make));
  }

  /** Devices whose request no query has counted. */
  requests(): Expression {
    return this.sum(({ requested, again }) => max(requested, again));
  }

  /** The source waits for an acknowledgement. */
  waits(): Expression {
    return this.acked === null ? gt(this.pending, 0) : eq(this.acked, 0);
  }
}
