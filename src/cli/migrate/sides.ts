import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Chronicle } from '../../migrate/chronicle.js';
import { checkGuest, guestIsUp } from '../../migrate/guest-check.js';
import type { MigrateReport } from '../../migrate/report.js';
import type { Prerequisite } from '../../migrate/requirements.js';
import { blockersOf } from '../../migrate/requirements.js';
import { runDestination } from '../../migrate/run-destination.js';
import { runSource } from '../../migrate/run-source.js';
import type { SourceMigration } from '../../migrate/source.js';
import type { VirtualMachine } from '../../migrate/virtual-machine.js';
import { formatUri, parseUri, TransportError } from '../../transport/index.js';
import type { MigrateFlags } from '../commands/migrate.js';
import { UsageError } from '../exit.js';
import { packageVersion } from '../package.js';
import { Control } from './control.js';
import { makeMachine, parametersOf, type Side } from './machine.js';
import type { DestinationSummary, Tell } from './messages.js';
import { Recording } from './record.js';

/** What the guest's drivers get for their set-up beside `--patience`, in milliseconds. */
const BRING_UP = 10_000;

/** A prerequisite is not met: nothing was started. */
export class PrerequisiteError extends UsageError {
  constructor(readonly list: readonly Prerequisite[]) {
    const wrong = list.filter(({ ok }) => !ok).map(({ what, found }) => `${what}: ${found}`);
    super(`the VM cannot be migrated: ${wrong.join('; ')}`);
  }
}

interface Setting {
  readonly vm: VirtualMachine;
  readonly recording: Recording | null;
}

async function setUp(flags: MigrateFlags, side: Side, tell: Tell): Promise<Setting> {
  const recording = flags.record === undefined ? null : new Recording(flags.record);
  const vm = await makeMachine(flags, side, recording?.sink ?? null);
  vm.onRunning = (running) => tell({ kind: 'running', side, running, t: Chronicle.now() });
  vm.chronicle.tell({ kind: 'vmm_version', name: 'stopcopy', version: packageVersion() });
  for (const name of parametersOf(flags).capabilities)
    vm.chronicle.tell({ kind: 'capability', name, on: true });
  return { vm, recording };
}

/** Runs a guest, and migrates it to `--to`. @throws UsageError when nothing can be migrated */
export async function runSourceSide(flags: MigrateFlags, tell: Tell): Promise<MigrateReport> {
  const parameters = parametersOf(flags);
  const to = uriOf('--to', flags.to!);
  const { vm, recording } = await setUp(flags, 'source', tell);
  const prerequisites = blockersOf(vm, parameters, flags.deviceDirty !== 'dma-logging');
  tell({ kind: 'prerequisites', list: prerequisites });
  if (prerequisites.some(({ ok }) => !ok)) throw new PrerequisiteError(prerequisites);
  let migration: SourceMigration | null = null;
  let control: Control | null = null;
  let late = false;
  /** Cancels; where it is too late for that a second interrupt ends this side, whatever becomes of the VM. */
  const interrupt = () => {
    if (migration?.cancel()) return;
    if (late) process.exit(128 + constants.signals.SIGINT);
    late = true;
    control?.giveUp();
  };
  try {
    if (flags.control !== undefined) control = await Control.open(flags.control, () => migration, vm);
    await vm.start();
    if (!(await guestIsUp(vm, flags.patience + BRING_UP)))
      throw new UsageError("the guest's drivers do not come up, so there is nothing to migrate");
    await sleep(flags.runFor);
    const report = await connected(
      runSource({
        vm,
        to,
        parameters,
        patience: flags.patience,
        onWait: (milliseconds) => tell({ kind: 'waiting', uri: formatUri(to), milliseconds }),
        onPrerequisites: (list) => tell({ kind: 'prerequisites', list }),
        onProgress: (progress) => tell({ kind: 'progress', progress }),
        onStart: (started) => {
          migration = started;
          process.on('SIGINT', interrupt);
          if (flags.cancelAfter !== undefined) setTimeout(() => started.cancel(), flags.cancelAfter).unref();
        },
      }),
    );
    const whole = {
      ...report,
      prerequisites: [...prerequisites, ...report.prerequisites],
      advice: adviceFor(report, flags),
    };
    recording?.flush();
    tell({ kind: 'report', report: whole });
    if (report.outcome === 'ambiguous') await control?.waitForEnd();
    if (report.outcome === 'ambiguous' && vm.running) await checkGuest(vm, flags.patience);
    return whole;
  } finally {
    process.off('SIGINT', interrupt);
    vm.dispose();
    await control?.close();
    recording?.close();
  }
}

/** Waits for a migration at `--incoming`, and runs the VM for as long as it takes to see that it works. */
export async function runDestinationSide(flags: MigrateFlags, tell: Tell): Promise<DestinationSummary> {
  const incoming = uriOf('--incoming', flags.incoming!);
  const { vm, recording } = await setUp(flags, 'destination', tell);
  try {
    const result = await connected(
      runDestination({
        vm,
        incoming,
        parameters: parametersOf(flags),
        patience: flags.patience,
        onListening: (address) => tell({ kind: 'listening', uri: formatUri(address) }),
        onStatus: (status) => tell({ kind: 'status', side: 'destination', status }),
      }),
    );
    const { outcome, error, running, prerequisites, report } = result;
    const summary = { outcome, error, running, prerequisites, report };
    recording?.flush();
    tell({ kind: 'destination', result: summary });
    return summary;
  } finally {
    vm.dispose();
    recording?.close();
  }
}

function uriOf(option: string, text: string) {
  try {
    return parseUri(text);
  } catch (error) {
    if (error instanceof TransportError) throw new UsageError(`${option} ${error.message}`);
    throw error;
  }
}

/** A connection that never was is a matter of usage. */
async function connected<T>(run: Promise<T>): Promise<T> {
  try {
    return await run;
  } catch (error) {
    if (error instanceof TransportError) throw new UsageError(error.message);
    throw error;
  }
}

function adviceFor({ outcome }: MigrateReport, { control }: MigrateFlags): string | null {
  if (outcome !== 'ambiguous') return null;
  const why = 'The VM was handed over, and no answer of the destination has come, so it may run there.';
  if (control === undefined)
    return `${why} This source ends, and its stopped VM with it; with --control PATH it waits to be told.`;
  const command = `stopcopy migrate --control ${control}`;
  return `${why} It stays stopped here. Look at the destination: if the VM runs there, ${command} quit; if it certainly does not, ${command} cont`;
}
