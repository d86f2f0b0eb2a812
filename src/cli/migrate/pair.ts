import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MigrateReport } from '../../migrate/report.js';
import type { MigrateFlags } from '../commands/migrate.js';
import { UsageError } from '../exit.js';
import type { Side } from './machine.js';
import type { DestinationSummary, SideMessage, Tell } from './messages.js';
import { mergedEvents } from './record.js';

/** The result of a migration between two processes of ours. */
export interface PairResult {
  readonly report: MigrateReport;
  readonly destination: DestinationSummary | null;
}

/** How long a side may take to end by itself when the other one is done, in milliseconds. */
const LINGER = 10_000;

/** One side in a process of its own. */
class SideProcess {
  readonly ended: Promise<void>;
  report: MigrateReport | null = null;
  result: DestinationSummary | null = null;
  error: string | null = null;
  readonly #child: ChildProcess;

  constructor(side: Side, flags: MigrateFlags, tell: Tell) {
    const main = process.argv[1]!;
    this.#child = fork(main, ['migrate'], {
      env: { ...process.env, STOPCOPY_SIDE: JSON.stringify({ side, flags }) },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // An interrupt from the terminal comes to the parent alone, which knows what to do with it.
      detached: true,
    });
    this.#child.on('message', (message: SideMessage) => {
      if (message.kind === 'report') this.report = message.report;
      if (message.kind === 'destination') this.result = message.result;
      if (message.kind === 'error') this.error = message.message;
      tell(message);
    });
    this.ended = new Promise((resolve) => {
      this.#child.on('close', () => resolve());
      this.#child.on('error', () => resolve());
    });
  }

  /** The first message of this kind; null when the process ends before. */
  first(kind: SideMessage['kind']): Promise<SideMessage | null> {
    return new Promise((resolve) => {
      this.#child.on('message', (message: SideMessage) => {
        if (message.kind === kind) resolve(message);
      });
      void this.ended.then(() => resolve(null));
    });
  }

  async end(patience: number): Promise<void> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), patience);
    await this.ended;
    clearTimeout(timer);
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.#child.kill(signal);
  }
}

/**
 * Starts a destination and a source, each in a process of its own, and waits for both.
 * @throws UsageError when a side could not even begin
 */
export async function runPair(flags: MigrateFlags, tell: Tell): Promise<PairResult> {
  // What cannot be written is found out before anything runs.
  if (flags.record !== undefined) writeRecord(flags.record, []);
  const folder = mkdtempSync(join(tmpdir(), 'stopcopy-'));
  const recordOf = (side: Side) => join(folder, `${side}.ndjson`);
  const flagsOf = (side: Side, more: Partial<MigrateFlags>): MigrateFlags => ({
    ...flags,
    ...more,
    ...(flags.record === undefined ? {} : { record: recordOf(side) }),
  });
  const uri = `unix:${join(folder, 'migration')}`;
  const sides: SideProcess[] = [];
  const kill = () => {
    for (const side of sides) side.kill();
  };
  /** The source cancels, and the VM runs on; before there is a source, and the second time, all ends. */
  let interrupted = false;
  const interrupt = () => {
    if (interrupted || sides.length < 2) kill();
    else sides[1]!.kill('SIGINT');
    interrupted = true;
  };
  process.once('exit', kill);
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  try {
    const { control: _control, ...plain } = flagsOf('destination', { incoming: uri });
    const destination = new SideProcess('destination', plain, tell);
    sides.push(destination);
    if ((await destination.first('listening')) === null)
      throw new UsageError(destination.error ?? 'the destination has ended');
    const source = new SideProcess('source', flagsOf('source', { to: uri }), tell);
    sides.push(source);
    await source.first('report');
    if (source.report?.outcome !== 'ambiguous') await source.end(LINGER);
    if (source.report === null) throw new UsageError(source.error ?? 'the source has ended without a report');
    await destination.end(LINGER);
    if (flags.record !== undefined) writeRecord(flags.record, [recordOf('source'), recordOf('destination')]);
    return { report: source.report, destination: destination.result };
  } finally {
    kill();
    process.off('exit', kill);
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
    rmSync(folder, { recursive: true, force: true });
  }
}

function writeRecord(file: string, parts: readonly string[]): void {
  try {
    writeFileSync(file, mergedEvents(parts.map((part) => readFileSync(part, 'utf8'))), { mode: 0o600 });
  } catch (error) {
    throw new UsageError(`cannot write ${file}: ${(error as NodeJS.ErrnoException).code}`);
  }
}
