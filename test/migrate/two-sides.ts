import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type MigrateFlags, migrateFlags } from '../../src/cli/commands/migrate.js';
import { makeMachine, parametersOf } from '../../src/cli/migrate/machine.js';
import { validateEvents } from '../../src/index.js';
import { guestIsUp } from '../../src/migrate/guest-check.js';
import type { MigrateReport } from '../../src/migrate/report.js';
import { type DestinationResult, runDestination } from '../../src/migrate/run-destination.js';
import { runSource } from '../../src/migrate/run-source.js';
import type { SourceMigration } from '../../src/migrate/source.js';
import type { VirtualMachine } from '../../src/migrate/virtual-machine.js';
import type { TraceEvent } from '../../src/trace/event.js';
import { parseUri } from '../../src/transport/index.js';

/** Small and quick: what the tests add to their options. */
const QUICK = ['--ram', '48M', '--working-set', '2M', '--dirty-rate', '500', '--patience', '3000'];

/** A host that a VM can be on: the options of its machine. */
export class Host {
  readonly flags: MigrateFlags;
  readonly events: TraceEvent[] = [];

  private constructor(
    readonly vm: VirtualMachine,
    flags: MigrateFlags,
    events: TraceEvent[],
  ) {
    this.flags = flags;
    this.events = events;
  }

  /** A host with a VM that does not run yet. @param name of the host in the events */
  static async make(
    side: 'source' | 'destination',
    options: readonly string[],
    name: string = side,
  ): Promise<Host> {
    const flags = migrateFlags([...QUICK, ...options]);
    const events: TraceEvent[] = [];
    const vm = await makeMachine(flags, side, (event) => events.push({ ...event, host: name }));
    for (const name of parametersOf(flags).capabilities)
      vm.chronicle.tell({ kind: 'capability', name, on: true });
    return new Host(vm, flags, events);
  }

  /** Starts the VM and waits until the guest has set up its devices. */
  async boot(): Promise<void> {
    await this.vm.start();
    if (!(await guestIsUp(this.vm, 20_000))) throw new Error('the guest did not come up');
  }
}

export interface Result {
  report: MigrateReport;
  destination: DestinationResult;
}

/** Migrates a running VM from one host to the other, over a unix socket. */
export async function migrate(
  from: Host,
  to: Host,
  during?: (migration: SourceMigration) => void,
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'stopcopy-test-'));
  const uri = parseUri(`unix:${join(folder, 's')}`);
  try {
    let listening = () => {};
    const ready = new Promise<void>((resolve) => {
      listening = resolve;
    });
    const loading = runDestination({
      vm: to.vm,
      incoming: uri,
      parameters: parametersOf(to.flags),
      patience: to.flags.patience,
      onListening: listening,
    });
    await ready;
    const report = await runSource({
      vm: from.vm,
      to: uri,
      parameters: parametersOf(from.flags),
      patience: from.flags.patience,
      ...(during === undefined ? {} : { onStart: during }),
    });
    return { report, destination: await loading };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Two hosts of the same options, and a migration between them; both VMs end with it. */
export async function migration(
  options: readonly string[],
  more: {
    source?: readonly string[];
    destination?: readonly string[];
    during?: (migration: SourceMigration) => void;
    prepare?: (from: Host, to: Host) => void;
  } = {},
): Promise<Result & { from: Host; to: Host; events: TraceEvent[] }> {
  const from = await Host.make('source', [...options, ...(more.source ?? [])]);
  const to = await Host.make('destination', [...options, ...(more.destination ?? [])]);
  try {
    more.prepare?.(from, to);
    await from.boot();
    const result = await migrate(from, to, more.during);
    const events = [...from.events, ...to.events].sort((a, b) => (a.t ?? 0) - (b.t ?? 0));
    return { ...result, from, to, events };
  } finally {
    from.vm.dispose();
    to.vm.dispose();
  }
}

/** Ids of the rules that events break, notes left out, and how many rules were checked. */
export function judged(events: readonly TraceEvent[]): {
  verdict: string;
  broken: string[];
  checked: number;
} {
  const report = validateEvents(events);
  const broken = report.violations.filter(({ level }) => level !== 'note').map(({ rule }) => rule);
  return { verdict: report.verdict, broken: [...new Set(broken)], checked: report.rules.checked.length };
}
