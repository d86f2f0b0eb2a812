import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { TargetError } from '../target.js';
import type { Ready } from './caller.js';
import { Frames, frame } from './frames.js';
import type { Answer, Call, Syscalls } from './syscalls.js';

export interface CallerOptions {
  /** As the user wrote it; errors begin with it. */
  uri: string;
  /** How long a call may take, in milliseconds. */
  timeoutMs: number;
  /** The program of the process; the default is the one beside this file. */
  program?: URL;
}

/** How long the process may take until it can make calls; a machine under load or emulated is slow. */
const START_MS = 60_000;
/** How long the process waits for the next open of the device, for its start takes a while. */
const REST_MS = 5000;
/** How long a process may take to end that has nothing to do any more. */
const END_MS = 2000;

/**
 * Starts the process that makes the system calls.
 * @throws TargetError when this is not Linux, or koffi is not there
 */
export async function startCaller(options: CallerOptions): Promise<CallingProcess> {
  const { uri } = options;
  if (process.platform !== 'linux') {
    throw new TargetError(`${uri}: VFIO is a part of Linux, and this system is ${process.platform}`);
  }
  const caller = new CallingProcess(options);
  const first = (await caller.next(
    START_MS,
    `the process that makes the calls has not started within ${START_MS / 1000} s`,
  )) as Ready;
  if (first.ready) return caller;
  await caller.end();
  throw new TargetError(
    `${uri}: koffi, which makes the system calls, cannot be loaded (${first.why}): npm install koffi`,
  );
}

/** Who waits for the next message. */
interface Waiting {
  resolve(message: unknown): void;
  reject(error: TargetError): void;
}

export class CallingProcess implements Syscalls {
  readonly #options: CallerOptions;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  #waiting: Waiting | undefined;
  /** Why no call can be made any more. */
  #over: string | undefined;
  #resting: NodeJS.Timeout | undefined;
  /** Done when the call before the next one is. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: CallerOptions) {
    this.#options = options;
    const program = options.program ?? new URL('./caller.js', import.meta.url);
    // In a session of its own: a Ctrl-C is for this process, which then closes the device in good order.
    this.#child = spawn(process.execPath, [fileURLToPath(program)], {
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    });
    const frames = new Frames();
    this.#child.stdout.on('data', (bytes: Buffer) => {
      try {
        for (const message of frames.take(bytes)) this.#waiting?.resolve(message);
      } catch (error) {
        this.#abandon(`the process that makes the calls cannot be understood: ${(error as Error).message}`);
      }
    });
    // Its end says more.
    this.#child.stdin.on('error', () => {});
    this.#child.on('exit', (status, signal) =>
      this.#lose(`the process that makes the calls has ended (${signal ?? status})`),
    );
    this.#child.on('error', ({ message }) =>
      this.#lose(`the process that makes the calls has failed: ${message}`),
    );
  }

  get isUsable(): boolean {
    return this.#over === undefined;
  }

  call(call: Call, what: string): Promise<Answer> {
    const answer = this.#last.then(() => {
      this.#hold(true);
      const { timeoutMs } = this.#options;
      const hangs = `${what} has not returned for ${timeoutMs / 1000} s: the driver hangs, see dmesg`;
      const next = this.next(timeoutMs, hangs);
      if (this.#over === undefined) this.#child.stdin.write(frame(call));
      return next as Promise<Answer>;
    });
    this.#last = answer.catch(() => {});
    return answer;
  }

  /**
   * The next message of the process.
   * @param late what is wrong when none comes in time
   * @throws TargetError then, and when the process has ended
   */
  next(timeoutMs: number, late: string): Promise<unknown> {
    if (this.#over !== undefined) return Promise.reject(this.#error());
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#abandon(late), timeoutMs);
      const done = () => {
        clearTimeout(timer);
        this.#waiting = undefined;
      };
      this.#waiting = {
        resolve: (message) => {
          done();
          resolve(message);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      };
    });
  }

  #error(): TargetError {
    return new TargetError(`${this.#options.uri}: ${this.#over}`);
  }

  #lose(why: string): void {
    this.#over ??= why;
    this.#waiting?.reject(this.#error());
  }

  /** A process that hangs in the kernel may outlive SIGKILL: nobody waits for it. */
  #abandon(why: string): void {
    this.#lose(why);
    this.#child.kill('SIGKILL');
    this.#child.stdin.destroy();
    this.#child.stdout.destroy();
    this.#child.unref();
  }

  async rest(): Promise<void> {
    await this.#last;
    try {
      if (this.#over === undefined) await this.call({ call: 'close_all' }, 'close of the device');
    } catch {
      // Why the calls have ended was told to whoever made the last one.
    }
    if (this.#over !== undefined) return;
    this.#hold(false);
    this.#resting = setTimeout(() => void this.end(), REST_MS).unref();
  }

  /** Whether this process waits for the other one. */
  #hold(waits: boolean): void {
    clearTimeout(this.#resting);
    for (const one of [this.#child, this.#child.stdin as Socket, this.#child.stdout as Socket])
      if (waits) one.ref();
      else one.unref();
  }

  /** Without its input the process ends, and the kernel closes what it had open. */
  async end(): Promise<void> {
    await this.#last;
    if (this.#over !== undefined) return;
    this.#over = 'the device is closed';
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#abandon('the device is closed');
        resolve();
      }, END_MS);
      this.#child.once('exit', () => {
        clearTimeout(timer);
        resolve();
      });
      this.#child.stdin.end();
    });
  }
}
