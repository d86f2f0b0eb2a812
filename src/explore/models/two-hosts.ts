import { migrationStatus, runState } from '../../machines/index.js';
import type { MigrationStatus } from '../../uapi/qemu.js';
import { type ComponentHandle, ModelBuilder } from '../builder.js';
import type { Expression } from '../expression.js';
import type { ModelEntry, ModelOptions, Sync } from '../model.js';
import type { Side } from './vfio-parts.js';

/** A migration between two VMMs: the migration status and the run state of each. */
export class TwoHosts {
  readonly model: ModelBuilder;
  readonly status: Readonly<Record<Side, ComponentHandle>>;
  readonly run: Readonly<Record<Side, ComponentHandle>>;

  constructor(
    entry: ModelEntry,
    readonly options: ModelOptions,
  ) {
    const model = new ModelBuilder(entry.name, entry.title, options);
    this.model = model;
    this.status = {
      src: model.component('status src', migrationStatus()),
      dst: model.component('status dst', migrationStatus()),
    };
    this.run = { src: model.component('VM src', runState()), dst: model.component('VM dst', runState()) };
  }

  is(variant: string): boolean {
    return this.options.variant === variant;
  }

  /** The status of a host is one of these. */
  statusIs(host: Side, ...statuses: readonly MigrationStatus[]): Expression {
    return this.status[host].in('migration-status', ...statuses);
  }

  becomes(host: Side, status: MigrationStatus): Sync {
    return this.status[host].on(`STATUS.${status}`);
  }

  runs(host: Side): Expression {
    return this.run[host].in('run-state', 'running');
  }
}
