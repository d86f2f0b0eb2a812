import type { Channel } from '../transport/index.js';
import { encodeVfioUserMessage, VfioUserHeader, vfioUserCommand } from '../uapi/vfio-user.js';
import { VfioUserError } from './error.js';
import { FrameError, FrameParser, type VfioUserMessage } from './frames.js';

export interface PeerOptions {
  /** Data that a message of the other side may carry, in bytes, beside its own head. */
  readonly maxData: number;
  /** How long a reply is waited for, in milliseconds. */
  readonly timeout: number;
  /** Carries a command of the other side out, and replies. One is finished before the next begins. */
  command(message: VfioUserMessage): void | Promise<void>;
  /** The other side has sent a header that cannot be, after all that was given to `command`. */
  broken?(error: FrameError): void | Promise<void>;
}

/** What a message may have beside its data: header and the head of the largest payload. */
const HEADS = VfioUserHeader.size + 64;
/** What a waiting command costs beside its bytes. */
const MESSAGE_COST = 256;
/** From so many waiting bytes on nothing more is read... */
const PAUSE_AT = 1 << 18;
/** ...but for a reply, which may stand behind them; then from this on the other side is given up. */
const GIVE_UP_AT = 1 << 24;

interface Outstanding {
  readonly command: number;
  readonly resolve: (message: VfioUserMessage) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * One end of a connection. Both ends send commands, and each side's ids are its own: a reply is told from a
 * command by its type, then by its id. Replies are taken at any time; commands one after another, and while they
 * wait the other side has to wait too, so that memory is bounded whatever it sends, and whether it reads or not.
 */
export class Peer {
  readonly name: string;
  /** Resolves when the connection has ended, for whatever reason; `failure` tells it. */
  readonly ended: Promise<void>;
  readonly #channel: Channel;
  readonly #options: PeerOptions;
  readonly #parser: FrameParser;
  readonly #outstanding = new Map<number, Outstanding>();
  readonly #commands: (VfioUserMessage | FrameError)[] = [];
  #waiting = 0;
  #busy: Promise<void> | null = null;
  #resume: (() => void) | null = null;
  #failure: VfioUserError | null = null;
  #nextId = 1;
  /** The other side sends nothing more. */
  #isOver = false;

  constructor(channel: Channel, options: PeerOptions) {
    this.name = channel.name;
    this.#channel = channel;
    this.#options = options;
    this.#parser = new FrameParser(HEADS + options.maxData);
    this.ended = this.#run();
  }

  /** Why the connection has ended; null while it lives. */
  get failure(): VfioUserError | null {
    return this.#failure;
  }

  /**
   * Sends a command, and waits for its reply, which may be an error reply.
   * @throws VfioUserError when the connection breaks, or there is no reply in time, which breaks it too
   */
  async request(command: number, payload: Uint8Array): Promise<VfioUserMessage> {
    if (this.#isOver) this.fail('the other side has closed the connection');
    if (this.#failure !== null) throw this.#failure;
    const msgId = this.#freeId();
    const reply = new Promise<VfioUserMessage>((resolve, reject) => {
      const late = () => this.fail(`no reply to ${nameOf(command)} within ${this.#options.timeout} ms`);
      const timer = setTimeout(late, this.#options.timeout);
      this.#outstanding.set(msgId, { command, resolve, reject, timer });
    });
    reply.catch(() => {});
    // Whatever is paused may stand before the reply.
    this.#goOn();
    const head = { msgId, command, type: 'command', noReply: false, failed: false, errno: 0 } as const;
    await this.#send(encodeVfioUserMessage(head, payload));
    return reply;
  }

  /** Answers a command, unless it wants no reply. `errno` 0 is success. */
  async reply(to: VfioUserMessage | FrameError, payload: Uint8Array, errno = 0): Promise<void> {
    const { msgId, command } = to instanceof FrameError ? to : to.head;
    if (!(to instanceof FrameError) && to.head.noReply) return;
    const head = { msgId, command, type: 'reply', noReply: false, failed: errno !== 0, errno } as const;
    await this.#send(encodeVfioUserMessage(head, payload));
  }

  /** Ends the connection for good; all that waits for a reply gets the reason. */
  fail(reason: string): void {
    this.#over(new VfioUserError(`${this.name}: ${reason}`));
  }

  close(): void {
    this.#over(new VfioUserError(`${this.name}: the connection was closed on this side`));
  }

  /** Sends what is still due, then closes. */
  async finish(): Promise<void> {
    await this.#channel.end().catch(() => {});
    this.close();
  }

  async #send(bytes: Uint8Array): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    try {
      // One write: some peers read a message's body with a single recv().
      await this.#channel.write(bytes);
    } catch (error) {
      this.fail(reasonOf(error, this.name));
    }
    if (this.#failure !== null) throw this.#failure;
  }

  async #run(): Promise<void> {
    try {
      await this.#channel.receive((block) => this.#take(block));
      this.#isOver = true;
      // Commands that have come are still answered; replies cannot come any more.
      if (this.#outstanding.size === 0) await this.#busy;
      const cut = this.#parser.pending > 0 ? ' in the middle of a message' : '';
      this.fail(`the other side has closed the connection${cut}`);
    } catch (error) {
      this.fail(reasonOf(error, this.name));
    }
    await this.#busy?.catch(() => {});
  }

  #take(block: Uint8Array): void | Promise<void> {
    try {
      this.#parser.push(block, (message) => this.#arrived(message));
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      if (this.#options.broken === undefined) throw new VfioUserError(error.message);
      this.#enqueue(error);
      // Nothing behind it can be read.
      return new Promise(() => {});
    }
    if (this.#waiting <= PAUSE_AT) return;
    if (this.#outstanding.size === 0)
      return new Promise((resolve) => {
        this.#resume = resolve;
      });
    if (this.#waiting > GIVE_UP_AT)
      throw new VfioUserError('the other side sends commands, and no reply to what it was asked');
  }

  #arrived(message: VfioUserMessage): void {
    if (message.head.type === 'reply') this.#answered(message);
    else {
      this.#waiting += costOf(message);
      this.#enqueue(message);
    }
  }

  #answered(message: VfioUserMessage): void {
    const { msgId, command } = message.head;
    const waiting = this.#outstanding.get(msgId);
    if (waiting === undefined) {
      // A server hears replies to what it has asked for in a life before; a client has no such excuse.
      if (this.#options.broken !== undefined) return;
      throw new VfioUserError(`a reply to ${nameOf(command)} with id ${msgId}, which nobody has asked for`);
    }
    if (waiting.command !== command)
      throw new VfioUserError(`${nameOf(waiting.command)} was answered by a reply to ${nameOf(command)}`);
    this.#outstanding.delete(msgId);
    clearTimeout(waiting.timer);
    waiting.resolve(message);
  }

  #enqueue(item: VfioUserMessage | FrameError): void {
    this.#commands.push(item);
    this.#busy ??= this.#work().finally(() => {
      this.#busy = null;
    });
  }

  async #work(): Promise<void> {
    for (let item = this.#commands.shift(); item !== undefined; item = this.#commands.shift()) {
      try {
        if (item instanceof FrameError) await this.#options.broken?.(item);
        else await this.#options.command(item);
      } catch (error) {
        this.fail(reasonOf(error, this.name));
      }
      if (!(item instanceof FrameError)) this.#waiting -= costOf(item);
      if (this.#waiting <= PAUSE_AT) this.#goOn();
    }
  }

  #goOn(): void {
    const resume = this.#resume;
    this.#resume = null;
    resume?.();
  }

  #freeId(): number {
    while (this.#outstanding.has(this.#nextId)) this.#nextId = (this.#nextId + 1) & 0xffff;
    const id = this.#nextId;
    this.#nextId = (id + 1) & 0xffff;
    return id;
  }

  #over(error: VfioUserError): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    for (const { reject, timer } of this.#outstanding.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#outstanding.clear();
    this.#commands.length = 0;
    this.#goOn();
    this.#channel.destroy();
  }
}

/** A command by its name, where it has one. */
export function nameOf(command: number): string {
  return vfioUserCommand(command) ?? `command ${command}`;
}

const costOf = ({ payload }: VfioUserMessage): number => MESSAGE_COST + payload.length;

/** What an error says, without the name of the connection, which stands before it anyway. */
function reasonOf(error: unknown, name: string): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.startsWith(`${name}: `) ? message.slice(name.length + 2) : message;
}
