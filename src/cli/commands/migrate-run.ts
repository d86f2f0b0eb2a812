import type { MigrateReport } from '../../migrate/report.js';
import { jsonText } from '../../text/json.js';
import { painter } from '../../text/words.js';
import { wantsColor } from '../color.js';
import { EXIT, UsageError } from '../exit.js';
import { withHtmlReport } from '../html-report.js';
import { sendCommand } from '../migrate/control.js';
import { faultData, faultList } from '../migrate/fault-list.js';
import type { Side } from '../migrate/machine.js';
import type { DestinationSummary, SideMessage, Tell } from '../migrate/messages.js';
import { runPair } from '../migrate/pair.js';
import { MigrationProgress } from '../migrate/progress.js';
import { prerequisitesText, reportText } from '../migrate/report-text.js';
import { PrerequisiteError, runDestinationSide, runSourceSide } from '../migrate/sides.js';
import { complain, print } from '../output.js';
import type { MigrateFlags } from './migrate.js';

/** Runs `stopcopy migrate` and returns its exit code. */
export async function runMigrate(word: string | undefined, flags: MigrateFlags): Promise<number> {
  const side = process.env.STOPCOPY_SIDE;
  if (side !== undefined && process.send !== undefined) return runAsChild(side);
  if (word !== undefined) return command(word, flags);
  if (flags.fault === 'list') return listFaults(flags);
  if (flags.to !== undefined && flags.incoming !== undefined)
    throw new UsageError('--to and --incoming are two sides: give one of them, or none to start both here');
  if (flags.incoming !== undefined) return withHtmlReport(flags, destination);
  return exitCode(await withHtmlReport(flags, migrate));
}

/**
 * Runs both sides, or the source that `--to` makes, shows how far it is, and prints the report.
 * @throws UsageError when nothing could be migrated
 */
export async function migrate(flags: MigrateFlags): Promise<MigrateReport> {
  const view = new View(flags);
  try {
    if (flags.to !== undefined) return await migrateTo(flags, view);
    const { report, destination } = await runPair(flags, view.tell);
    view.end();
    for (const complaint of destination?.report.complaints ?? []) complain(complaint);
    await printReport(report, flags);
    return report;
  } finally {
    view.end();
  }
}

/** The report is there before the end: a source of which nobody knows whether it may run its VM waits for a word. */
async function migrateTo(flags: MigrateFlags, view: View): Promise<MigrateReport> {
  let printed: Promise<void> | null = null;
  const report = await runSourceSide(flags, (message) => {
    view.tell(message);
    if (message.kind !== 'report') return;
    view.end();
    printed = printReport(message.report, flags);
  });
  await printed;
  return report;
}

function printReport(report: MigrateReport, { json, color }: MigrateFlags): Promise<void> {
  return print(json ? jsonText(report) : reportText(report, painter(wantsColor(color))));
}

async function command(word: string, { control }: MigrateFlags): Promise<number> {
  if (control === undefined) throw new UsageError(`${word} needs --control PATH of the running side`);
  await print(`${await sendCommand(control, word)}\n`);
  return EXIT.ok;
}

async function listFaults({ json, color }: MigrateFlags): Promise<number> {
  await print(json ? jsonText(faultData()) : faultList(painter(wantsColor(color))));
  return EXIT.ok;
}

/** 0 when the migration was completed and nothing was found wrong, 3 when nobody knows, else 1. */
export function exitCode(report: MigrateReport): number {
  const { outcome, memoryEqual, deviceStateEqual, framesLost, framesDuplicated, devices } = report;
  if (outcome === 'ambiguous') return EXIT.inconclusive;
  const bad =
    memoryEqual === false || deviceStateEqual === false || devices.some(({ works }) => works === false);
  const wrong = bad || (framesLost ?? 0) > 0 || (framesDuplicated ?? 0) > 0;
  return outcome === 'completed' && !wrong ? EXIT.ok : EXIT.violation;
}

/** What a person sees while a migration goes on. */
class View {
  readonly #paint;
  readonly #progress: MigrationProgress;
  readonly #quiet: boolean;

  constructor({ json, color }: MigrateFlags) {
    this.#quiet = json === true;
    this.#paint = painter(wantsColor(color, process.env, process.stderr.isTTY));
    this.#progress = new MigrationProgress({ quiet: this.#quiet });
  }

  readonly tell: Tell = (message: SideMessage) => {
    if (message.kind === 'waiting' && !this.#quiet)
      process.stderr.write(
        `nobody listens at ${message.uri} yet; trying for ${message.milliseconds / 1000} s\n`,
      );
    if (message.kind === 'progress') this.#progress.update(message.progress);
    if (message.kind === 'prerequisites' && !this.#quiet)
      process.stderr.write(prerequisitesText(message.list, this.#paint));
  };

  end(): void {
    this.#progress.end();
  }
}

async function destination(flags: MigrateFlags): Promise<number> {
  const tell: Tell = (message) => {
    if (flags.json) return;
    if (message.kind === 'listening') process.stderr.write(`waiting for a migration at ${message.uri}\n`);
    if (message.kind === 'status') process.stderr.write(`${message.status}\n`);
  };
  const result = await runDestinationSide(flags, tell);
  await print(flags.json ? jsonText({ schema: 'stopcopy-incoming-1', ...result }) : destinationText(result));
  return result.outcome === 'completed' && result.report.devices.every(({ works }) => works !== false)
    ? EXIT.ok
    : EXIT.violation;
}

function destinationText({ outcome, error, report }: DestinationSummary): string {
  if (outcome === 'failed') return `incoming migration FAILED: ${error}\nthe VM does not run here\n`;
  const lost = report.devices.reduce((sum, { books }) => sum + (books?.framesLost ?? 0), 0);
  const complaints = report.complaints.map((words) => `  ${words}\n`).join('');
  return `incoming migration COMPLETED\nguest continued here, ${lost} frames lost\n${complaints}`;
}

/** One side of a pair, started by another process of ours. */
async function runAsChild(setting: string): Promise<number> {
  const { side, flags } = JSON.parse(setting) as { side: Side; flags: MigrateFlags };
  const tell: Tell = (message) => void process.send?.(message);
  // Whoever has started this side is gone: so is its use.
  process.on('disconnect', () => process.exit(EXIT.usage));
  try {
    if (side === 'source') return exitCode(await runSourceSide(flags, tell));
    const { outcome } = await runDestinationSide(flags, tell);
    return outcome === 'completed' ? EXIT.ok : EXIT.violation;
  } catch (error) {
    if (error instanceof PrerequisiteError) tell({ kind: 'prerequisites', list: error.list });
    if (!(error instanceof UsageError)) throw error;
    tell({ kind: 'error', message: error.message });
    return EXIT.usage;
  } finally {
    process.disconnect?.();
  }
}
