import { setTimeout as sleep } from 'node:timers/promises';
import { acceptMigration, listen, type MigrationUri } from '../transport/index.js';
import { DestinationMigration, type DestinationOutcome } from './destination.js';
import { checkGuest, type GuestCheck } from './guest-check.js';
import { MultifdReceiver } from './multifd-receiver.js';
import type { MigrationParameters } from './parameters.js';
import type { DestinationReport } from './report.js';
import type { VirtualMachine } from './virtual-machine.js';

/** What the destination of a migration is made from. */
export interface RunDestinationOptions {
  readonly vm: VirtualMachine;
  readonly incoming: MigrationUri;
  readonly parameters: MigrationParameters;
  /** How long the guest may take to show that its devices work, in milliseconds. */
  readonly patience: number;
  /** It listens; the address has the actual port. */
  readonly onListening?: (address: MigrationUri) => void;
  readonly onStatus?: (status: string) => void;
}

/** How a destination has ended, and what it found. */
export interface DestinationResult extends DestinationOutcome {
  readonly running: boolean;
  readonly report: DestinationReport;
}

/** How long the source may take to hear the last words, in milliseconds. */
const FAREWELL = 2000;

/**
 * Waits for a migration, loads it, starts the VM, and looks at the guest; the source is told what was found.
 * @throws TransportError when it cannot listen, or who connects does not migrate
 */
export async function runDestination(options: RunDestinationOptions): Promise<DestinationResult> {
  const { vm, parameters } = options;
  const listener = await listen(options.incoming);
  options.onListening?.(listener.address);
  const count = parameters.capabilities.has('multifd') ? parameters.multifdChannels : 0;
  const { main, channels } = await acceptMigration(listener, { channels: count });
  await listener.close();
  let migration: DestinationMigration | undefined;
  try {
    migration = new DestinationMigration({
      vm,
      channel: main,
      multifd: count > 0 ? new MultifdReceiver(channels, vm.ram, parameters.answerTimeout) : null,
      parameters,
      ...(options.onStatus === undefined ? {} : { onStatus: options.onStatus }),
    });
    const outcome = await migration.run();
    const report = await reportOf(vm, outcome, options.patience);
    if (outcome.outcome === 'completed')
      await migration.answer({ type: 'REPORT', text: JSON.stringify(report) });
    return { ...outcome, running: vm.running, report };
  } finally {
    await main.end().catch(() => {});
    await Promise.race([migration?.closed, sleep(FAREWELL, undefined, { ref: false })]);
    main.destroy();
    for (const each of channels) each.destroy();
  }
}

async function reportOf(
  vm: VirtualMachine,
  outcome: DestinationOutcome,
  patience: number,
): Promise<DestinationReport> {
  const checks: GuestCheck[] = vm.running ? await checkGuest(vm, patience) : [];
  const ramDigest = (await outcome.snapshot?.finish()) ?? null;
  const workload = vm.running ? vm.workload.complaint() : null;
  const complaints = checks.flatMap(({ device, books }) =>
    (books?.complaints ?? []).map((words) => `${device.name}: ${words}`),
  );
  return {
    ramDigest,
    error: outcome.error,
    devices: checks.map(({ device, works, books }) => ({
      name: device.name,
      digest: outcome.deviceDigests.get(device.name) ?? null,
      works,
      books,
    })),
    complaints: workload === null ? complaints : [workload, ...complaints],
  };
}
