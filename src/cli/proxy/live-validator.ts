import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Finding, Report } from '../../validate/report.js';
import type { ValidatorLine } from './live-validator-program.js';

/** Bytes that may wait for the process; what comes then is not judged. */
const MOST_WAITING = 1 << 24;
/** How long the process may take for what is left when the connection has ended, in milliseconds. */
const PATIENCE = 20_000;

export interface LiveValidatorOptions {
  /** Told of each finding as it comes. */
  finding(finding: Finding): void;
  /** Told once of what keeps messages from being judged. */
  trouble(message: string): void;
  /** The program of the process; the default is the one beside this file. */
  readonly program?: URL;
  readonly mostWaiting?: number;
  readonly patience?: number;
}

/** What has come of it. */
export interface Judgement {
  /** null: the process has failed before. */
  readonly report: Report | null;
  /** Messages that were not judged, all of them behind those that were. */
  readonly missed: number;
}

/**
 * Judges a capture in a process of its own while it is written. Nothing here waits for that process: when it is too
 * slow, hangs or ends, the messages that it cannot take are counted and left out. After a gap nothing more is judged,
 * for a rule would take what is missing for what did not happen.
 */
export class LiveValidator {
  readonly #options: LiveValidatorOptions;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #ended: Promise<void>;
  #lines = '';
  #isDue = false;
  #report: Report | null = null;
  #missed = 0;
  /** Nothing more is given to the process. */
  #isOver = false;
  #isEnding = false;

  constructor(options: LiveValidatorOptions) {
    this.#options = options;
    const program = options.program ?? new URL('./live-validator-program.js', import.meta.url);
    // In a session of its own: a Ctrl-C is for this process, and the report comes after it.
    this.#child = spawn(process.execPath, [fileURLToPath(program)], {
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    });
    this.#child.stdin.on('error', () => {});
    const lines = createInterface({ input: this.#child.stdout });
    lines.on('line', (line) => this.#take(line));
    const isRead = new Promise<void>((resolve) => lines.once('close', resolve));
    const isGone = new Promise<void>((resolve) => {
      this.#child.once('error', ({ message }) =>
        resolve(this.#lose(`the validator cannot be started: ${message}`)),
      );
      this.#child.once('exit', (code, signal) => {
        if (code !== 0 || !this.#isEnding)
          this.#lose(`the validator has ended (${signal ?? `exit code ${code}`})`);
        resolve();
      });
    });
    this.#ended = Promise.all([isRead, isGone]).then(() => {});
  }

  /** Takes a line of the capture. */
  feed(line: string): void {
    if (this.#isOver) {
      this.#missed++;
      return;
    }
    const { mostWaiting = MOST_WAITING } = this.#options;
    if (this.#lines.length + this.#child.stdin.writableLength > mostWaiting) {
      this.#missed++;
      this.#flush();
      this.#lose('the validator is too slow: messages from here on are not judged');
      this.#child.stdin.end();
      return;
    }
    this.#lines += line;
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => this.#flush());
  }

  /** The capture is at its end: waits for the report, but not for ever. */
  async end(): Promise<Judgement> {
    this.#isEnding = true;
    this.#flush();
    this.#child.stdin.end();
    const { patience = PATIENCE } = this.#options;
    const timer = setTimeout(() => {
      this.#lose(`the validator has not come to an end within ${patience / 1000} s`);
      this.#child.kill('SIGKILL');
    }, patience);
    await this.#ended;
    clearTimeout(timer);
    if (this.#report === null) this.#lose('the validator has not given a report');
    return { report: this.#report, missed: this.#missed };
  }

  #flush(): void {
    this.#isDue = false;
    if (this.#lines !== '' && !this.#isOver) this.#child.stdin.write(this.#lines);
    this.#lines = '';
  }

  /** Nothing that the process says can be an error here. */
  #take(line: string): void {
    try {
      const said = JSON.parse(line) as ValidatorLine;
      if ('finding' in said) this.#options.finding(said.finding);
      else this.#report = said.report;
    } catch {
      this.#lose('the validator cannot be understood');
    }
  }

  #lose(why: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.trouble(why);
  }
}
