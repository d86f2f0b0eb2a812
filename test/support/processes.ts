import { type ChildProcess, spawn } from 'node:child_process';
import { MAIN, ROOT } from './cli.js';

/** How a process has ended. */
export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  out: string;
  err: string;
}

/** The environment of the person who runs the tests must not change what the command prints. */
const PLAIN = { NO_COLOR: '', FORCE_COLOR: '', NODE_OPTIONS: '' };

/** What a test that has failed has left behind. */
const alive = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

/** The built command as a process that runs beside the test. */
export class Running {
  out = '';
  err = '';
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  #waiting: (() => void)[] = [];

  /** @param fds descriptors of this process that the command gets as its number 3 and up */
  constructor(
    args: readonly string[],
    { env = {}, fds = [] }: { env?: NodeJS.ProcessEnv; fds?: readonly number[] } = {},
  ) {
    this.child = spawn(process.execPath, [MAIN, ...args], {
      cwd: ROOT,
      env: { ...process.env, ...PLAIN, ...env },
      stdio: ['ignore', 'pipe', 'pipe', ...fds],
    });
    alive.add(this.child);
    this.child.stdout!.on('data', (data) => {
      this.out += data;
      this.#wake();
    });
    this.child.stderr!.on('data', (data) => {
      this.err += data;
      this.#wake();
    });
    this.ended = new Promise((resolve) => {
      this.child.on('close', (code, signal) => {
        alive.delete(this.child);
        resolve({ code, signal, out: this.out, err: this.err });
        this.#wake();
      });
    });
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** What it has printed matches; the match. @throws when it ends before that */
  async says(words: RegExp, stream: 'out' | 'err' = 'err'): Promise<RegExpExecArray> {
    for (;;) {
      const match = words.exec(this[stream]);
      if (match) return match;
      if (this.child.exitCode !== null || this.child.signalCode !== null)
        throw new Error(`it has ended without ${words}: ${this.out}${this.err}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.child.kill(signal);
  }
}

/** Runs the built command to its end, beside whatever else goes on. */
export function runs(
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; fds?: readonly number[] } = {},
): Promise<Ended> {
  return new Running(args, options).ended;
}
