import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type MigrateFlags, migrateFlags } from '../../src/cli/commands/migrate.js';
import type { DestinationSummary, SideMessage } from '../../src/cli/migrate/messages.js';
import type { MigrateReport } from '../../src/migrate/report.js';
import { cuttingProxy, type Faults } from './cutting-proxy.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
type Side = 'source' | 'destination';

/** What goes wrong in a migration between two processes. */
export interface Disaster {
  /** Options of `stopcopy migrate`, for both sides. */
  options: readonly string[];
  /** SIGKILL for a side, so many milliseconds after the source has begun to migrate. */
  kill?: { side: Side; after: number };
  faults?: Faults;
}

/** What became of it. */
export interface Aftermath {
  report: MigrateReport | null;
  destination: DestinationSummary | null;
  /** When vCPUs ran, in microseconds; an end of null: to the end of the process. */
  ran: Record<Side, { from: number; to: number | null }[]>;
  /** A side that was killed, and when. */
  killed: { side: Side; at: number } | null;
  /** What the source said when it could not even begin. */
  error: string | null;
  /** What the destination said when no migration has come; null when one has. */
  idle: string | null;
}

const now = () => Number(process.hrtime.bigint() / 1000n);

class Watched {
  report: MigrateReport | null = null;
  result: DestinationSummary | null = null;
  error: string | null = null;
  readonly ran: { from: number; to: number | null }[] = [];
  /** Ended, and all that it said has come: 'exit' alone may be told before the last messages. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  #waiting: [string, () => void][] = [];

  constructor(side: Side, flags: MigrateFlags) {
    this.#child = fork(MAIN, ['migrate'], {
      env: { ...process.env, STOPCOPY_SIDE: JSON.stringify({ side, flags }) },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child.on('message', (message: SideMessage) => this.#take(message));
    this.ended = new Promise((resolve) => this.#child.on('close', () => resolve()));
  }

  #take(message: SideMessage): void {
    if (message.kind === 'report') this.report = message.report;
    if (message.kind === 'destination') this.result = message.result;
    if (message.kind === 'error') this.error = message.message;
    if (message.kind === 'running') {
      if (message.running) this.ran.push({ from: message.t, to: null });
      else this.ran.at(-1)!.to = message.t;
    }
    const name = message.kind === 'progress' ? `status ${message.progress.status}` : message.kind;
    this.#waiting = this.#waiting.filter(([wanted, resolve]) => {
      if (wanted === name) resolve();
      return wanted !== name;
    });
  }

  /** Waits for a message, or the end of the process. */
  told(name: string): Promise<void> {
    return Promise.race([new Promise<void>((resolve) => this.#waiting.push([name, resolve])), this.ended]);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** Lets a disaster happen and waits until both processes have ended. */
export async function disaster({ options, kill, faults }: Disaster): Promise<Aftermath> {
  const folder = mkdtempSync(join(tmpdir(), 'stopcopy-chaos-'));
  const target = `unix:${join(folder, 'destination')}`;
  const flags = migrateFlags(options);
  const destination = new Watched('destination', { ...flags, incoming: target });
  try {
    await destination.told('listening');
    const proxy = await cuttingProxy(`unix:${join(folder, 'proxy')}`, target, faults ?? {});
    const source = new Watched('source', { ...flags, to: proxy.uri });
    let killed: Aftermath['killed'] = null;
    if (kill !== undefined) {
      await source.told('status setup');
      await new Promise((resolve) => setTimeout(resolve, kill.after));
      killed = { side: kill.side, at: now() };
      (kill.side === 'source' ? source : destination).kill();
    }
    const late = setTimeout(() => {
      source.kill();
      destination.kill();
    }, 60_000);
    await source.ended;
    await proxy.close();
    // Of a source that has said nothing it has not heard: it waits on.
    const waits = proxy.counts.every(({ forward }) => forward === 0);
    if (waits) destination.kill();
    await destination.ended;
    clearTimeout(late);
    const ran = { source: source.ran, destination: destination.ran };
    const idle = waits ? 'it still waited' : destination.error;
    const { report, error } = source;
    return { report, error, destination: destination.result, ran, killed, idle };
  } finally {
    destination.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What is wrong with how a disaster has ended, in words; empty when the guarantees held. */
export function complaints({ report, destination, ran, killed, idle }: Aftermath): string[] {
  const wrong: string[] = [];
  for (const here of ran.source) {
    for (const there of ran.destination) {
      const end = here.to ?? (killed?.side === 'source' ? killed.at : Number.POSITIVE_INFINITY);
      const otherEnd = there.to ?? (killed?.side === 'destination' ? killed.at : Number.POSITIVE_INFINITY);
      if (there.from < end && here.from < otherEnd) wrong.push('the VM ran on both sides at once');
    }
  }
  const alive = (side: Side) => killed?.side !== side && ran[side].at(-1)?.to === null;
  const nowhere = !alive('source') && !alive('destination');
  // A VM dies with its host: with the source up to the end, with the destination once that has taken it over.
  const itsHostDied = killed?.side === (report?.outcome === 'completed' ? 'destination' : 'source');
  if (nowhere && !itsHostDied && report?.outcome !== 'ambiguous')
    wrong.push('the VM runs nowhere, and nothing says why');
  if (killed?.side !== 'source' && report === null) wrong.push('the source has ended without a report');
  if (killed?.side !== 'destination' && destination === null && idle === null)
    wrong.push('the destination has ended without a result');
  wrong.push(...silent(report, destination));
  return wrong;
}

/** A VM that runs on with a state that is not what it was, and nobody who says so. */
function silent(report: MigrateReport | null, destination: DestinationSummary | null): string[] {
  if (destination?.running !== true) return [];
  const wrong = destination.report.complaints.map((words) => `the guest runs on, and ${words}`);
  if (report?.memoryEqual === false) wrong.push('the guest runs on with other memory');
  if (report?.deviceStateEqual === false) wrong.push('the guest runs on with another device state');
  for (const { name, works, books } of destination.report.devices) {
    if (works === false) wrong.push(`the guest runs on, and ${name} does not work`);
    if (books && books.framesLost + books.framesDuplicated + books.framesCorrupted > 0)
      wrong.push(`${name} has lost, doubled or spoilt frames`);
  }
  return wrong;
}
