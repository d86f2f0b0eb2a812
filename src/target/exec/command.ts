import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { clean, cut } from '../../text/words.js';
import { TargetError } from '../target.js';
import { Lines } from './lines.js';

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** Longest line of the command's messages for people that is passed on. */
const LONGEST_MESSAGE = 400;
const LONGEST_QUOTE = 80;
/** How long the last output of a command may take that has ended: whoever it has left may hold the pipe. */
const LAST_OUTPUT_MS = 200;
/** How long a command that has closed its output may take to end, which says more. */
const EXPLAIN_MS = 500;

export interface CommandEvents {
  /** A line of its standard output. */
  line(text: string): void;
  /** A line of its standard error, fit for a terminal. */
  message(text: string): void;
  /** It is of no use any more; told once, and not after `end` was called. */
  failed(error: TargetError): void;
}

/**
 * A command that was started with `/bin/sh -c`, in a process group of its own so that whatever it starts
 * ends with it. Its lines are bounded; what is wrong with it is told once.
 */
export class Command {
  readonly #name: string;
  readonly #child: Child;
  readonly #events: CommandEvents;
  readonly #exited: Promise<void>;
  #lastMessage = '';
  #isOver = false;

  constructor(name: string, command: string, longestLine: number, events: CommandEvents) {
    this.#name = name;
    this.#events = events;
    const child = start(name, command);
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
    child.once('error', (error) => this.fail(`cannot start the command: ${error.message}`));
    // Without pipes it was not started, and an 'error' says why.
    if (child.stdout) this.#watch(longestLine);
  }

  /** Writes a line to its standard input. */
  send(line: string): void {
    if (this.#child.stdin?.writable) this.#child.stdin.write(`${line}\n`);
  }

  /** The command is of no use any more: it is killed, and `failed` hears why. */
  fail(why: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const said =
      this.#lastMessage === '' ? '' : `; its last message: ${cut(this.#lastMessage, LONGEST_QUOTE)}`;
    this.#events.failed(new TargetError(`${this.#name}: ${why}${said}`));
    this.#kill('SIGKILL');
  }

  /**
   * Ends it: by the end of its standard input, after `patience` ms by SIGTERM, and then by SIGKILL.
   * Done when it has ended.
   */
  async end(patience: number): Promise<void> {
    this.#isOver = true;
    this.#child.stdin?.end();
    const timers = (['SIGTERM', 'SIGKILL'] as const).map((signal, index) =>
      setTimeout(() => this.#kill(signal), patience * (index + 1)),
    );
    await this.#exited;
    for (const timer of timers) clearTimeout(timer);
    this.#kill('SIGKILL');
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
  }

  /** Signals the command and all that it has started, if there is anybody. */
  #kill(signal: NodeJS.Signals): void {
    if (this.#child.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, signal);
    } catch {
      // Nobody is there any more.
    }
  }

  #watch(longestLine: number): void {
    const { stdin, stdout, stderr } = this.#child;
    const lines = new Lines(
      longestLine,
      (text) => this.#isOver || this.#events.line(text),
      (begin) => this.fail(`a line of its output has more than ${longestLine} characters: ${quoted(begin)}`),
    );
    const messages = new Lines(
      LONGEST_MESSAGE,
      (text) => this.#message(text),
      (begin) => this.#message(`${begin}... (the rest of its messages is left out)`),
    );
    // A broken pipe: how the command has ended says more.
    stdin.on('error', () => {});
    stdout.on('error', () => {});
    stderr.on('error', () => {});
    stdout.on('data', (part: Buffer) => lines.push(part));
    stderr.on('data', (part: Buffer) => messages.push(part));
    stderr.once('end', () => messages.end());
    stdout.once('end', () => {
      lines.end();
      setTimeout(() => this.fail('the command has closed its output'), EXPLAIN_MS).unref();
    });
    const closed = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.once('exit', (status, signal) => {
      const how = status === null ? `was ended by ${signal}` : `has ended with status ${status}`;
      const tell = () => this.fail(`the command ${how}`);
      setTimeout(tell, LAST_OUTPUT_MS).unref();
      closed.then(tell);
    });
  }

  #message(text: string): void {
    const shown = clean(text).trimEnd();
    if (shown === '') return;
    this.#lastMessage = shown;
    this.#events.message(shown);
  }
}

/** @throws TargetError when it cannot even be tried: the command is too long, or there is no room for a process */
function start(name: string, command: string): Child {
  try {
    return spawn('/bin/sh', ['-c', command], { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  } catch (error) {
    throw new TargetError(`${name}: cannot start the command: ${(error as Error).message}`);
  }
}

/** Some output of a command as an error shows it. */
export function quoted(text: string): string {
  return JSON.stringify(cut(clean(text), LONGEST_QUOTE));
}
