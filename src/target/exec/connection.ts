import type { z } from 'zod';
import { DeviceError } from '../../uapi/device.js';
import { ERRNO } from '../../uapi/errno.js';
import { TargetError } from '../target.js';
import { Command, quoted } from './command.js';
import { type Answer, type Arguments, type Call, checkAnswer, MAX_LINE, messageSchema } from './protocol.js';

/** Where errors send whoever writes the command. */
const GUIDE = 'docs/exec-target.md has the protocol';

export interface ConnectionOptions {
  /** How long an answer may take, in milliseconds. */
  answerMs: number;
  /** How long the command may take to end, before it is told to by a signal, in milliseconds. */
  endMs: number;
  /** Takes the lines of the command's standard error. */
  message(text: string): void;
  dmaWrite(iova: number, length: number): void;
}

interface Pending {
  readonly call: Call;
  readonly timer: NodeJS.Timeout;
  resolve(answer: unknown): void;
  reject(error: Error): void;
}

/**
 * Requests and answers with a command. An answer that breaks the protocol, or none in time, ends the
 * command: nobody can know then what state the device is in.
 */
export class Connection {
  readonly #name: string;
  readonly #options: ConnectionOptions;
  readonly #command: Command;
  readonly #pending = new Map<number, Pending>();
  #lines = 0;
  #lastId = -1;
  #failure: TargetError | null = null;

  constructor(name: string, command: string, options: ConnectionOptions) {
    this.#name = name;
    this.#options = options;
    this.#command = new Command(name, command, MAX_LINE, {
      line: (text) => this.#take(text),
      message: options.message,
      failed: (error) => this.#end(error),
    });
  }

  /**
   * Asks, and waits for the answer.
   * @throws DeviceError when the device refuses
   * @throws TargetError when the command is gone, breaks the protocol, or takes too long
   */
  ask<C extends Call>(call: C, args: Arguments<C>): Promise<Answer<C>> {
    if (this.#failure) return Promise.reject(this.#failure);
    const id = ++this.#lastId;
    const { answerMs } = this.#options;
    return new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(
        () => this.#command.fail(`no answer to ${call} (id ${id}) within ${answerMs / 1000} s`),
        answerMs,
      );
      this.#pending.set(id, { call, timer, resolve, reject });
      this.#command.send(JSON.stringify({ id, call, ...args }));
    }) as Promise<Answer<C>>;
  }

  /** Ends the command because of an answer that cannot be. @returns the error to throw */
  broken(why: string): TargetError {
    this.#command.fail(`${why}; ${GUIDE}`);
    return this.#failure ?? new TargetError(`${this.#name}: ${why}`);
  }

  /** Ends the command. Whoever still waits gets a TargetError. */
  async close(): Promise<void> {
    this.#end(new TargetError(`${this.#name} is closed`));
    await this.#command.end(this.#options.endMs);
  }

  #end(failure: TargetError): void {
    this.#failure ??= failure;
    for (const { timer, reject } of this.#pending.values()) {
      clearTimeout(timer);
      reject(failure);
    }
    this.#pending.clear();
  }

  #take(line: string): void {
    this.#lines++;
    try {
      this.#dispatch(parsed(line));
    } catch (error) {
      if (!(error instanceof Broken)) throw error;
      this.broken(`line ${this.#lines} of its output ${error.message}: ${quoted(line)}`);
    }
  }

  #dispatch(message: Message): void {
    if ('event' in message) this.#options.dmaWrite(Number(message.iova), message.length);
    else this.#answer(message);
  }

  #answer(message: Reply): void {
    const pending = this.#pending.get(message.id);
    if (pending === undefined) throw new Broken(`answers a request with id ${message.id}, and none is open`);
    const answer = 'error' in message ? deviceError(pending.call, message) : okOf(pending.call, message.ok);
    clearTimeout(pending.timer);
    this.#pending.delete(message.id);
    if (answer instanceof DeviceError) pending.reject(answer);
    else pending.resolve(answer);
  }
}

type Message = z.output<typeof messageSchema>;
type Reply = Exclude<Message, { event: string }>;
type Failure = Extract<Message, { error: string }>;

/** A line that is not of the protocol, in words that follow "line n". */
class Broken extends Error {}

function parsed(line: string): Message {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Broken('is no JSON');
  }
  const { success, data } = messageSchema.safeParse(value);
  if (!success) throw new Broken('is neither an answer, {"id", "ok"} or {"id", "error"}, nor an event');
  return data;
}

function deviceError(call: Call, { error, message = `${call} has failed` }: Failure): DeviceError {
  if (ERRNO[error] === undefined) throw new Broken(`has ${error}, which is no error number`);
  return new DeviceError(error, message);
}

function okOf(call: Call, ok: unknown): object {
  const answer = checkAnswer(call, ok);
  if (typeof answer === 'string') throw new Broken(`is no answer to ${call} (${answer})`);
  return answer;
}
