import { type Channel, connect, limited, type MigrationUri, RateLimit } from '../transport/index.js';
import { checkGuest } from './guest-check.js';
import { MultifdSender } from './multifd-sender.js';
import type { MigrationParameters } from './parameters.js';
import type { MigrateReport, Progress } from './report.js';
import type { Prerequisite } from './requirements.js';
import { SourceMigration } from './source.js';
import type { VirtualMachine } from './virtual-machine.js';

/** What the source of a migration is made from. */
export interface RunSourceOptions {
  readonly vm: VirtualMachine;
  readonly to: MigrationUri;
  readonly parameters: MigrationParameters;
  /** How long the guest may take to show that its devices work again after a rollback, in milliseconds. */
  readonly patience: number;
  readonly onProgress?: (progress: Progress) => void;
  /** The destination has looked at what both sides must have in common. */
  readonly onPrerequisites?: (list: readonly Prerequisite[]) => void;
  /** Nobody listens there yet; it is tried for so many milliseconds. */
  readonly onWait?: (milliseconds: number) => void;
  /** Gets the migration when it begins, to cancel it or to let it go on. */
  readonly onStart?: (migration: SourceMigration) => void;
}

/** How long a destination that does not listen yet is waited for, in milliseconds. */
const RETRY = 10_000;

/**
 * Connects and migrates a running VM. Afterwards the guest is looked at where it runs here again.
 * @throws TransportError when there is no connection at all
 */
export async function runSource(options: RunSourceOptions): Promise<MigrateReport> {
  const { vm, to, parameters } = options;
  const limit = new RateLimit(parameters.maxBandwidth);
  const channel = await connect(to, { retryFor: RETRY, onWait: () => options.onWait?.(RETRY) });
  const extra = parameters.capabilities.has('multifd') ? parameters.multifdChannels : 0;
  const channels: Channel[] = [];
  try {
    for (let index = 0; index < extra; index++) channels.push(await connect(to));
    const multifd = extra > 0 ? new MultifdSender(channels, ({ write }) => limited(write, limit)) : null;
    await multifd?.begin(new Uint8Array(16));
    const migration = new SourceMigration({
      vm,
      channel,
      multifd,
      parameters,
      write: limited(channel.write, limit),
      // The switchover is not held back.
      onSwitchover: () => {
        limit.bytesPerSecond = 0;
      },
      ...(options.onPrerequisites === undefined ? {} : { onPrerequisites: options.onPrerequisites }),
      ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
    });
    options.onStart?.(migration);
    const report = await migration.run();
    return await afterwards(vm, report, options.patience);
  } finally {
    channel.destroy();
    for (const each of channels) each.destroy();
  }
}

async function afterwards(
  vm: VirtualMachine,
  report: MigrateReport,
  patience: number,
): Promise<MigrateReport> {
  if (report.memoryEqual !== null) vm.chronicle.tell({ kind: 'memory_compare', equal: report.memoryEqual });
  for (const { name, stateEqual } of report.devices)
    if (stateEqual !== null)
      vm.parts.find((device) => device.name === name)!.tell({ kind: 'state_compare', equal: stateEqual });
  if (!vm.running) return report;
  const checks = await checkGuest(vm, patience);
  const devices = report.devices.map((device) => {
    const check = checks.find((each) => each.device.name === device.name);
    return check === undefined ? device : { ...device, works: check.works, books: check.books };
  });
  return { ...report, devices };
}
