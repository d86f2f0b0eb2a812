import type { SourceMigration } from '../../migrate/source.js';
import type { VirtualMachine } from '../../migrate/virtual-machine.js';
import { type Channel, connect, type Listener, listen, TransportError } from '../../transport/index.js';
import { UsageError } from '../exit.js';
import { CONTROL_WORDS } from './control-words.js';

type ControlWord = (typeof CONTROL_WORDS)[number];

/** Longest line that is read. */
const LONGEST = 64;

/** A unix socket, for its owner only, that takes one command a connection and answers with one line. */
export class Control {
  readonly #listener: Listener;
  readonly #migration: () => SourceMigration | null;
  readonly #vm: VirtualMachine;
  /** The migration has ended, and nobody knows where the VM runs. */
  #undecided = false;
  #quit: () => void = () => {};
  readonly #ended = new Promise<void>((resolve) => {
    this.#quit = resolve;
  });

  private constructor(listener: Listener, migration: () => SourceMigration | null, vm: VirtualMachine) {
    this.#listener = listener;
    this.#migration = migration;
    this.#vm = vm;
  }

  /** @throws UsageError when the socket cannot be made */
  static async open(
    path: string,
    migration: () => SourceMigration | null,
    vm: VirtualMachine,
  ): Promise<Control> {
    try {
      const control = new Control(await listen({ kind: 'unix', path }), migration, vm);
      void control.#serve();
      return control;
    } catch (error) {
      if (error instanceof TransportError) throw new UsageError(`--control ${error.message}`);
      throw error;
    }
  }

  /** Until somebody has said what becomes of a VM of which nobody knows where it runs. */
  waitForEnd(): Promise<void> {
    this.#undecided = true;
    return this.#ended;
  }

  /** Nobody is to be waited for. */
  giveUp(): void {
    this.#quit();
  }

  close(): Promise<void> {
    return this.#listener.close();
  }

  async #serve(): Promise<void> {
    for (;;) {
      let channel: Channel;
      try {
        channel = await this.#listener.accept();
      } catch {
        return;
      }
      void this.#answer(channel).catch(() => channel.destroy());
    }
  }

  async #answer(channel: Channel): Promise<void> {
    const word = await firstLine(channel);
    const undecided = this.#undecided;
    const answer = await this.#do(word as ControlWord);
    await channel.write(Buffer.from(`${answer}\n`));
    await channel.end();
    if (undecided && (word === 'quit' || (word === 'cont' && this.#vm.running))) this.#quit();
  }

  async #do(word: ControlWord): Promise<string> {
    const migration = this.#migration();
    switch (word) {
      case 'cancel':
        return migration?.cancel() ? 'the migration is cancelled' : 'there is nothing to cancel any more';
      case 'continue':
        return migration?.continueSwitchover()
          ? 'the switchover goes on'
          : 'the migration does not wait in pre-switchover';
      case 'cont':
        if (this.#vm.running) return 'the VM runs';
        // As long as the migration goes on, the destination may be about to run it.
        if (!this.#undecided) return this.#notNow(migration);
        await this.#vm.start({ evenIfDevicesFail: true });
        return 'the VM runs here again';
      case 'quit':
        if (!this.#undecided) return this.#notNow(migration);
        return 'the VM is given up here';
      case 'status':
        return `${migration?.status ?? 'none'}, VM ${this.#vm.runState}`;
      default:
        return `expected one of ${CONTROL_WORDS.join(', ')}`;
    }
  }

  #notNow(migration: SourceMigration | null): string {
    return `not now: the migration is ${migration?.status ?? 'not begun'}, the VM ${this.#vm.runState}`;
  }
}

async function firstLine(channel: Channel): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    channel
      .receive((block) => {
        text += Buffer.from(block).toString('latin1');
        if (text.includes('\n') || text.length > LONGEST) resolve(text.split('\n')[0]!.trim());
      })
      .then(() => resolve(text.trim()), reject);
  });
}

/** Sends a command to a running source, and returns its answer. @throws UsageError when nobody listens there */
export async function sendCommand(path: string, word: string): Promise<string> {
  try {
    const channel = await connect({ kind: 'unix', path });
    let answer = '';
    const received = channel.receive((block) => {
      answer += Buffer.from(block).toString();
    });
    await channel.write(Buffer.from(`${word}\n`));
    await received.catch(() => {});
    channel.destroy();
    return answer.trim();
  } catch (error) {
    if (error instanceof TransportError) throw new UsageError(`--control ${error.message}`);
    throw error;
  }
}
