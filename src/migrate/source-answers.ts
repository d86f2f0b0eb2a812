import type { Channel } from '../transport/index.js';
import { MigrationError } from './error.js';
import { type DestinationReport, readDestinationReport } from './report.js';
import { type Prerequisite, readPrerequisites } from './requirements.js';
import { type ReturnMessage, ReturnPathReader } from './return-path.js';

interface Handlers {
  onAck(): void;
  onChecks(list: readonly Prerequisite[]): void;
  onPages(start: number, length: number): void;
}

/** What the source hears from the destination: answers that it waits for, and what comes by itself. */
export class SourceAnswers {
  isOpen = false;
  /** What the destination said when it gave up; null: it did not. */
  refusal: string | null = null;
  readonly #channel: Channel;
  readonly #timeout: number;
  readonly #handlers: Handlers;
  #pongs = new Set<number>();
  #shut: number | null = null;
  #report: DestinationReport | null = null;
  #failure: Error | null = null;
  #ended = false;
  #waiting: (() => void) | null = null;

  constructor(channel: Channel, timeout: number, handlers: Handlers) {
    this.#channel = channel;
    this.#timeout = timeout;
    this.#handlers = handlers;
  }

  /** Begins to listen. */
  open(): void {
    this.isOpen = true;
    const reader = new ReturnPathReader((message) => this.#take(message));
    this.#channel
      .receive((block) => {
        reader.write(block);
        this.#waiting?.();
      })
      .then(
        () => {
          this.#ended = true;
        },
        (error: Error) => {
          this.#failure ??= error;
        },
      )
      .finally(() => this.#waiting?.());
  }

  #take(message: ReturnMessage): void {
    switch (message.type) {
      case 'PONG':
        this.#pongs.add(message.value);
        break;
      case 'SHUT':
        this.#shut = message.value;
        if (message.value !== 0) this.refusal = this.#report?.error ?? `error ${message.value}`;
        break;
      case 'SWITCHOVER_ACK':
        this.#handlers.onAck();
        break;
      case 'REQ_PAGES':
        this.#handlers.onPages(message.start, message.length);
        break;
      case 'CHECKS':
        this.#handlers.onChecks(readPrerequisites(message.text));
        break;
      case 'REPORT':
        this.#report = readDestinationReport(message.text);
        break;
    }
  }

  /** @throws MigrationError when the destination has given up, or cannot be heard any more */
  check(): void {
    if (this.refusal !== null) throw new MigrationError(`the destination has failed: ${this.refusal}`);
    if (this.#failure !== null) throw this.#failure;
    if (this.#ended && this.#shut === null)
      throw new MigrationError('the destination has closed the connection');
  }

  /** Waits for the PONG. @param ask sends the PING, if nobody has */
  async pong(value: number, ask?: () => Promise<void>): Promise<void> {
    await ask?.();
    await this.#until(() => this.#pongs.has(value), `PONG ${value}`);
  }

  /** Waits for SHUT 0: the VM runs on the destination. @throws MigrationError for any other end */
  async shut(): Promise<void> {
    await this.#until(() => this.#shut === 0, 'the end of the load');
  }

  /** What the destination tells of itself after the switchover, or null. */
  async report(): Promise<DestinationReport | null> {
    try {
      if (this.isOpen) await this.#until(() => this.#report !== null, 'its report');
    } catch {
      return null;
    }
    return this.#report;
  }

  async #until(done: () => boolean, what: string): Promise<void> {
    const deadline = performance.now() + this.#timeout;
    while (!done()) {
      this.check();
      if (this.#ended) throw new MigrationError('the destination has closed the connection');
      const left = deadline - performance.now();
      if (left <= 0)
        throw new MigrationError(`the destination did not answer within ${this.#timeout / 1000} s (${what})`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(wake, left);
        const self = this;
        function wake() {
          clearTimeout(timer);
          self.#waiting = null;
          resolve();
        }
        this.#waiting = wake;
      });
    }
  }
}
