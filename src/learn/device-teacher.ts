import { type CapabilitySet, capabilitiesOfFlags } from '../machines/index.js';
import { HangError, inTime } from '../target/bounded.js';
import { type Target, TargetError } from '../target/target.js';
import { plural } from '../text/words.js';
import { type Device, DeviceError } from '../uapi/device.js';
import { MIG_STATES } from '../uapi/vfio.js';
import { type Alphabet, type ImageKind, type InputCall, OUTPUTS, STATUS_INPUT } from './alphabet.js';
import { CallLost, DeviceCalls } from './device-teacher-calls.js';
import {
  type AlphabetWishes,
  alphabetFor,
  canReset,
  type Image,
  imageOf,
  openDevice,
} from './device-teacher-start.js';
import { type Answer, LostError, type Situation, type Teacher } from './teacher.js';

/**
 * How a word begins: VFIO_DEVICE_RESET, with the device open all the time, or a close of the device and an
 * open. With `reset` a RESET that answers as it should counts as a new beginning, so that what lasts over a
 * reset shows as non-determinism; with `open` RESET is an input like any other.
 */
export const FRESH_STARTS = ['reset', 'open'] as const;
export type FreshStart = (typeof FRESH_STARTS)[number];

/** How a device is asked. */
export interface DeviceTeacherOptions extends AlphabetWishes {
  /** Default: `reset` where the device offers it. */
  readonly fresh?: FreshStart;
  /** Longest time of one call, in milliseconds; default 30000. */
  readonly timeout?: number;
  /** Most bytes of the device's image; default 64 MiB. */
  readonly maxBytes?: number;
}

/** A reset that led home so often is believed to do so, from what looks the same. */
const ENOUGH_PROOFS = 2;

const DEFAULT_TIMEOUT = 30_000;
const DEFAULT_MAX_BYTES = 64 << 20;

/** Least bytes after which a READ is endless, and how many times the image's length. */
const ENDLESS = { atLeast: 1 << 20, images: 4 };

/** What is open when words begin to be put. */
interface Start {
  readonly target: Target;
  readonly device: Device;
  readonly open: () => Target;
  readonly calls: DeviceCalls;
  readonly image: Image;
}

const onFd = ({ do: what }: InputCall): boolean => ['read', 'write', 'precopy_info', 'close'].includes(what);

/** A live device that words are put to. */
export class DeviceTeacher implements Teacher {
  readonly name: string;
  readonly fresh: FreshStart;
  readonly capabilities: CapabilitySet;
  readonly alphabet: Alphabet;
  readonly inputs: readonly string[];
  readonly status: string | null;
  resets = 0;
  readonly #open: () => Target;
  readonly #calls: DeviceCalls;
  readonly #left: readonly string[];
  readonly #images: Readonly<Record<ImageKind, Uint8Array>>;
  readonly #asksFds: boolean;
  #target: Target;
  #device: Device | null;
  /** What GET says of a fresh device. */
  #home: string | null = null;
  /** What GET said at last; null: something was done since. */
  #seen: string | null = null;
  /** How often a reset was seen to lead home, by what GET had said before. */
  readonly #proofs = new Map<string, number>();
  /** Fresh starts that took more than they should, by what it took. */
  readonly #detours = new Map<string, number>();
  /** What the last call was lost with. */
  #lost: CallLost | null = null;
  #losses = 0;
  #lossWords = '';
  #logs = false;

  private constructor(start: Start, options: DeviceTeacherOptions) {
    const { target, device, open, calls, image } = start;
    this.#open = open;
    this.#target = target;
    this.#device = device;
    this.#calls = calls;
    this.name = target.uri;
    this.capabilities = capabilitiesOfFlags(device.flags);
    this.fresh = options.fresh ?? (canReset(target, device) ? 'reset' : 'open');
    const { alphabet, left } = alphabetFor(target, device, image, options);
    this.alphabet = alphabet;
    this.#left = left;
    this.inputs = alphabet.inputs.map(({ name }) => name);
    this.status = alphabet.status ? STATUS_INPUT : null;
    this.#asksFds = alphabet.inputs.some(({ call }) => onFd(call));
    const own = image.bytes ?? new Uint8Array();
    const damaged = own.map((byte, at) => (at === 0 ? byte ^ 0xff : byte));
    this.#images = { own, damaged, half: own.subarray(0, own.length >> 1) };
  }

  /**
   * Opens the device, and reads its image, which WRITE writes.
   * @param target the device; a function makes a target for each open, where a device of this process is to be
   * a new one then
   * @throws TargetError when it cannot be used, or cannot begin words as it is asked to
   */
  static async open(
    target: Target | (() => Target),
    options: DeviceTeacherOptions = {},
  ): Promise<DeviceTeacher> {
    const { timeout = DEFAULT_TIMEOUT, maxBytes = DEFAULT_MAX_BYTES } = options;
    const open = typeof target === 'function' ? target : () => target;
    const first = open();
    const device = await openDevice(first, timeout);
    try {
      checkFresh(first, device, options.fresh);
      const calls = new DeviceCalls({ timeout, maxBytes });
      const image = await imageOf(device, calls);
      const length = image.bytes?.length ?? 0;
      if (length > 0) calls.bounds.maxBytes = Math.max(ENDLESS.atLeast, ENDLESS.images * length);
      return new DeviceTeacher({ target: first, device, open, calls, image }, options);
    } catch (error) {
      await first.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#device = null;
    await this.#target.close();
  }

  get requests(): number {
    return this.#calls.requests;
  }

  get notes(): readonly string[] {
    const begins = {
      reset: 'each word begins with VFIO_DEVICE_RESET; what lasts over a reset is not seen',
      open: 'each word begins with a close and an open of the device',
    }[this.fresh];
    const detours = [...this.#detours].map(([way, count]) => `${plural(count, 'word')} began after ${way}`);
    const losses =
      this.#losses === 0 ? [] : [`${plural(this.#losses, 'call')} got no answer: ${this.#lossWords}`];
    return [begins, ...detours, ...losses, ...this.#left];
  }

  async begin(): Promise<Situation> {
    this.resets++;
    if (!(await this.#tried(() => this.#start()))) await this.#comeBack();
    await this.#tried(() => this.#tidy());
    return this.#situation(this.#home, false);
  }

  async step(number: number, asksStatus: boolean): Promise<Answer> {
    const { call } = this.alphabet.inputs[number]!;
    try {
      const image =
        call.do === 'write' && call.image !== 'unknown' ? this.#images[call.image] : this.#images.own;
      this.#seen = null;
      const output = await this.#calls.output(this.#device!, call, image);
      if (call.do === 'log_start' && output === OUTPUTS.ok) this.#logs = true;
      const status = asksStatus && this.status !== null ? await this.#get() : null;
      this.#seen = status;
      const isFresh =
        this.fresh === 'reset' &&
        call.do === 'reset' &&
        output === OUTPUTS.ok &&
        this.#isUntouched &&
        status === this.#home;
      return { output, ...this.#situation(status, isFresh) };
    } catch (error) {
      if (!(error instanceof CallLost)) throw error;
      return { output: error.output, ...this.#afterLoss(error) };
    }
  }

  /** Nothing of the word goes on behind a reset: no data_fd that could be asked, no log. */
  get #isUntouched(): boolean {
    const holds = this.#asksFds && this.#calls.fds.some((fd) => fd !== null);
    return !holds && !this.#logs && this.status !== null;
  }

  /** The state, or what GET fails with. @throws CallLost */
  #get(): Promise<string> {
    return this.#calls.output(this.#device!, { do: 'get' }, this.#images.own);
  }

  #situation(status: string | null, isFresh: boolean): Situation {
    const idle = new Map<number, string>();
    if (this.#calls.fd === null)
      for (const [number, { call }] of this.alphabet.inputs.entries())
        if (onFd(call)) idle.set(number, OUTPUTS.noDataFd);
    return { status: this.status === null ? null : status, idle, isFresh };
  }

  /** Nobody knows what the device is doing: no further input reaches it before it was opened anew. */
  #afterLoss(error: CallLost): Situation {
    this.#lost = error;
    this.#losses++;
    this.#lossWords = error.message;
    const idle = new Map(this.inputs.map((_, number) => [number, error.output as string]));
    return { status: this.status === null ? null : error.output, idle, isFresh: false };
  }

  /** Begins as it was agreed on. Returns whether the device is at home then. */
  async #start(): Promise<boolean> {
    const resets = this.fresh === 'reset' && this.#lost === null && this.#device !== null;
    if (resets) await this.#calls.call('VFIO_DEVICE_RESET', () => this.#device!.reset());
    else await this.#reopen();
    return this.#isHome(resets);
  }

  /** Whether GET says what it said first. Where a reset was seen to lead there it is not asked again. */
  async #isHome(afterReset = false): Promise<boolean> {
    const from = this.#seen;
    const proofs = afterReset && from !== null ? (this.#proofs.get(from) ?? 0) : 0;
    if (proofs >= ENOUGH_PROOFS) return true;
    const state = await this.#get();
    this.#home ??= state;
    if (afterReset && from !== null && state === this.#home) this.#proofs.set(from, proofs + 1);
    return state === this.#home;
  }

  async #reopen(): Promise<void> {
    const { timeout } = this.#calls.bounds;
    const isLost = this.#lost !== null;
    if (isLost) this.#calls.fds.length = 0;
    else await this.#tidy();
    this.#lost = null;
    this.#logs = false;
    this.#device = null;
    await inTime(`the closing of ${this.name}`, timeout, async () => this.#target.close());
    this.#target = this.#open();
    this.#device = await openDevice(this.#target, timeout);
  }

  /** What belongs to the word before ends with it. */
  async #tidy(): Promise<void> {
    await this.#calls.closeAll();
    const logging = this.#device?.dmaLogging;
    if (!this.#logs || logging == null) return;
    this.#logs = false;
    await this.#tried(() => this.#calls.call('DMA_LOGGING_STOP', () => logging.stop()));
  }

  /** Brings back a device that did not begin as it should: by a request, then by an open. @throws LostError */
  async #comeBack(): Promise<void> {
    const ways: (readonly [string, () => Promise<unknown>])[] = [
      ['a request for the first state', () => this.#walkHome()],
      ['a close and an open', () => this.#reopen()],
      ['an open and a request for the first state', () => this.#walkHome()],
    ];
    for (const [words, way] of ways) {
      if (this.#lost !== null && !words.startsWith('a close')) continue;
      const came = await this.#tried(async () => {
        await way();
        return this.#isHome();
      });
      if (!came) continue;
      this.#detours.set(words, (this.#detours.get(words) ?? 0) + 1);
      return;
    }
    throw new LostError(`${this.name} does not come back to ${this.#home ?? 'a state that it tells'}`);
  }

  /** A load is left by a whole image only. */
  async #walkHome(): Promise<void> {
    const { own } = this.#images;
    const put = (call: InputCall) => this.#calls.output(this.#device!, call, own);
    if (this.#calls.fd !== null) await put({ do: 'write', image: 'own' });
    const home = MIG_STATES.find((state) => state === this.#home);
    if (home !== undefined) await put({ do: 'set', state: home });
  }

  /** The result; false when the device refuses, or does not answer. */
  async #tried(run: () => Promise<unknown>): Promise<boolean> {
    try {
      return (await run()) !== false;
    } catch (error) {
      if (error instanceof CallLost) this.#afterLoss(error);
      else if (!NO_ANSWERS.some((kind) => error instanceof kind)) throw error;
      return false;
    }
  }
}

/** What a device or its target fails with, beside calls that are lost. */
const NO_ANSWERS = [DeviceError, TargetError, HangError];

function checkFresh(target: Target, device: Device, fresh: FreshStart | undefined): void {
  if (fresh === 'reset' && !canReset(target, device))
    throw new TargetError(`${target.uri} offers no reset: words begin with an open of the device`);
  if (fresh === 'open' && target.lacks.has('reopen'))
    throw new TargetError(`${target.uri} cannot be opened again: words begin with a reset`);
}
