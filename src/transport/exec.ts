import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Channel, Take } from './channel.js';
import { closedHere, quiet, TransportError, transportError } from './error.js';
import { adopt, SocketChannel } from './socket-channel.js';
import { type MigrationUri, nameOf } from './uri.js';

type ExecUri = MigrationUri & { kind: 'exec' };
type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** Bytes of the command's messages that are kept for an error. */
const STDERR_TAIL = 4096;
const LONGEST_LINE = 200;
/** How long a broken pipe waits for the end of the command, which says more. */
const EXPLAIN_MS = 500;
/** How long the last messages of a command may take that has ended. */
const STDERR_MS = 200;
/** How long a command that was told to end may take before it is killed. */
const KILL_MS = 2000;

/**
 * Starts a command with `/bin/sh -c`; what is sent is its standard input, what is received its standard
 * output.
 * @throws TransportError when it cannot be started
 */
export async function startCommand(uri: ExecUri): Promise<Channel> {
  const name = nameOf(uri);
  let channel: Channel | undefined;
  try {
    const child = spawn('/bin/sh', ['-c', uri.command], { stdio: ['pipe', 'pipe', 'pipe'] });
    // Without them it was not started, and an 'error' says why.
    channel = child.stdout ? new ExecChannel(name, child) : undefined;
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    return channel!;
  } catch (error) {
    channel?.destroy();
    throw transportError(`${name}: cannot start the command`, error);
  }
}

/** The two pipes of a command, and how it ends. */
class ExecChannel implements Channel {
  readonly duplex = true;
  readonly name: string;
  readonly #child: Child;
  readonly #pipes: SocketChannel;
  /** Done when the command has ended: with what was wrong, or nothing. */
  readonly #outcome: Promise<TransportError | undefined>;
  #settle!: (outcome: TransportError | undefined) => void;
  #receiving = false;
  #ended: Promise<void> | undefined;

  constructor(name: string, child: Child) {
    this.name = name;
    this.#child = child;
    const { inbox, socket } = adopt(name, child.stdout as Socket);
    this.#pipes = new SocketChannel(name, inbox, socket, child.stdin as Socket);
    this.#outcome = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#watch();
  }

  get bytesWritten(): number {
    return this.#pipes.bytesWritten;
  }

  readonly write = (bytes: Uint8Array): void | Promise<void> => this.#explained(this.#pipes.write(bytes));

  writev(pieces: readonly Uint8Array[]): void | Promise<void> {
    return this.#explained(this.#pipes.writev(pieces));
  }

  async receive(take: Take): Promise<void> {
    this.#receiving = true;
    await this.#explained(this.#pipes.receive(take));
    const failure = await this.#outcome;
    if (failure !== undefined) throw failure;
  }

  end(): Promise<void> {
    this.#ended ??= quiet(this.#end());
    return this.#ended;
  }

  destroy(): void {
    this.#settle(closedHere(this.name));
    this.#pipes.destroy();
    const child = this.#child;
    child.stderr.destroy();
    child.unref();
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill();
    const kill = setTimeout(() => child.kill('SIGKILL'), KILL_MS);
    kill.unref();
    child.once('exit', () => clearTimeout(kill));
  }

  async #end(): Promise<void> {
    // The command must not wait for somebody to read its output.
    if (!this.#receiving) void quiet(this.#pipes.receive(() => {}));
    await this.#explained(this.#pipes.end());
    const failure = await this.#outcome;
    if (failure !== undefined) throw failure;
  }

  #explained(work: void | Promise<void>): void | Promise<void> {
    return work && quiet(work.catch((error: unknown) => this.#explain(error)));
  }

  /** Says how the command has ended where all that is known is a broken pipe. */
  async #explain(error: unknown): Promise<never> {
    if (!(error instanceof TransportError)) throw error;
    const ended = await Promise.race([
      this.#outcome.then((failure) => ({ failure })),
      sleep(EXPLAIN_MS, undefined, { ref: false }),
    ]);
    if (ended === undefined) throw error;
    throw (
      ended.failure ??
      new TransportError(`${this.name}: the command ended before it had taken everything`, { code: 'EPIPE' })
    );
  }

  #watch(): void {
    const { stderr } = this.#child;
    let messages = Buffer.alloc(0);
    stderr.on('error', () => {});
    stderr.on('data', (part: Buffer) => {
      messages = Buffer.concat([messages, part]).subarray(-STDERR_TAIL);
    });
    const quietNow = new Promise<void>((resolve) => stderr.once('close', resolve));
    this.#child.on('error', (error) => this.#settle(transportError(this.name, error)));
    this.#child.once('exit', async (status, signal) => {
      // Whoever it has left behind may hold its standard error open.
      await Promise.race([quietNow, sleep(STDERR_MS, undefined, { ref: false })]);
      stderr.destroy();
      this.#settle(status === 0 ? undefined : this.#failure(status, signal, messages.toString()));
    });
  }

  #failure(status: number | null, signal: string | null, messages: string): TransportError {
    const how = status === null ? `was ended by ${signal}` : `ended with status ${status}`;
    const line = lastLine(messages);
    return new TransportError(`${this.name}: the command ${how}${line === '' ? '' : `: ${line}`}`);
  }
}

/** The last line that says something, fit for a terminal. */
function lastLine(text: string): string {
  const lines = text.split('\n').map((line) => line.trim());
  const line = lines.findLast((each) => each !== '') ?? '';
  const shown = line.length > LONGEST_LINE ? `${line.slice(0, LONGEST_LINE)}...` : line;
  return shown.replace(/\p{Cc}/gu, '?');
}
