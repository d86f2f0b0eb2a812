import { clean, cut } from '../../text/words.js';
import type { Device } from '../../uapi/device.js';
import { DeviceError } from '../../uapi/device.js';
import { OPTIONAL_CALLS, type OptionalCall } from '../../uapi/optional-call.js';
import { MIGRATION_FLAGS } from '../../uapi/vfio.js';
import { type OpenOptions, type Target, TargetError } from '../target.js';
import { Connection } from './connection.js';
import { ExecDevice } from './exec-device.js';
import { EXEC_VERSION } from './protocol.js';

const SCHEME = 'exec:';
const LONGEST_NAME = 60;
const ANSWER_MS = 10_000;
const END_MS = 2000;

/** How the command of a target is run. */
export interface ExecTargetOptions {
  /** How long an answer of the command may take, in milliseconds; default 10 s. */
  answerMs?: number;
  /** How long the command may take to end after its standard input has; default 2 s. */
  endMs?: number;
  /** Takes each line that the command writes to its standard error; default: our own, with its name before it. */
  message?(text: string): void;
}

/**
 * A device behind a command that `/bin/sh -c` runs: `exec:COMMAND`. The command speaks JSON lines
 * (`docs/exec-target.md`). Its life is an open of the device: each `open` starts it, and `close` ends it.
 * @throws TargetError when there is no command
 */
export function execTarget(uri: string, options: ExecTargetOptions = {}): Target {
  const command = uri.startsWith(SCHEME) ? uri.slice(SCHEME.length) : '';
  if (command.trim() === '' || command.includes('\0'))
    throw new TargetError(`${JSON.stringify(cut(uri, LONGEST_NAME))}: expected exec:COMMAND`);
  return new ExecTarget(uri, command, options);
}

class ExecTarget implements Target {
  readonly uri: string;
  readonly profile = undefined;
  readonly guest = null;
  readonly #command: string;
  readonly #options: ExecTargetOptions;
  readonly #name: string;
  #lacks: ReadonlySet<OptionalCall> = new Set();
  #connection: Connection | null = null;

  constructor(uri: string, command: string, options: ExecTargetOptions) {
    this.uri = uri;
    this.#command = command;
    this.#options = options;
    this.#name = cut(clean(uri), LONGEST_NAME);
  }

  get lacks(): ReadonlySet<OptionalCall> {
    return this.#lacks;
  }

  async open({ dmaWrite = () => {} }: OpenOptions = {}): Promise<Device> {
    if (this.#connection) throw new TargetError(`${this.#name} is open already`);
    const { answerMs = ANSWER_MS, endMs = END_MS, message = this.#tell } = this.#options;
    const connection = new Connection(this.#name, this.#command, { answerMs, endMs, message, dmaWrite });
    this.#connection = connection;
    try {
      const hello = await connection.ask('hello', { version: EXEC_VERSION });
      this.#lacks = new Set(OPTIONAL_CALLS.filter((call) => !hello.calls.includes(call)));
      if ((hello.flags & MIGRATION_FLAGS.STOP_COPY) === 0)
        throw new TargetError(`${this.#name}: the device cannot migrate: its flags lack STOP_COPY`);
      return new ExecDevice(connection, hello);
    } catch (error) {
      await this.close();
      if (!(error instanceof DeviceError)) throw error;
      throw new TargetError(`${this.#name}: the device cannot be opened: ${error.message}`);
    }
  }

  async close(): Promise<void> {
    const connection = this.#connection;
    this.#connection = null;
    await connection?.close();
  }

  readonly #tell = (text: string): void => {
    process.stderr.write(`${this.#name}: ${text}\n`);
  };
}
