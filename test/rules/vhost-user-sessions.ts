import { type Automaton, compile, REFUSED, step } from '../../src/automaton/index.js';
import { CAPABILITY_SETS, machineNamed } from '../../src/machines/index.js';
import { vhostUserRequestShape } from '../../src/machines/vhost-user-requests.js';
import { decodedRequest } from '../../src/rules/vhost-user-facts.js';
import type { EventOf, TraceEvent } from '../../src/trace/event.js';
import { VHOST_FEATURES } from '../../src/uapi/vhost.js';
import {
  VHOST_USER_F_PROTOCOL_FEATURES,
  VHOST_USER_PROTOCOL_FEATURES,
  type VhostUserProtocolFeature,
} from '../../src/uapi/vhost-user.js';
import { featureBits, VIRTIO_FEATURES } from '../../src/uapi/virtio.js';

/** Sessions of vhost-user that walk the charts, and other ways to tell the same session. */

const CAPS = CAPABILITY_SETS.at(-1)!;
const automata = new Map<string, Automaton>(
  ['vhost-user', 'vhost-user-vring', 'vhost-user-transfer', 'vhost-user-postcopy'].map((name) => [
    name,
    compile(machineNamed(name)!.make(CAPS)),
  ]),
);

/** One running machine. */
class Walker {
  #state = 0;
  constructor(readonly automaton: Automaton) {}

  get configuration(): readonly string[] {
    return this.automaton.states[this.#state]!;
  }

  /** Takes an event; false: the chart refuses it. */
  take(event: string): boolean {
    const to = step(this.automaton, this.#state, this.automaton.eventIndex.get(event)!);
    if (to !== REFUSED) this.#state = to;
    return to !== REFUSED;
  }

  copy(): Walker {
    const made = new Walker(this.automaton);
    made.#state = this.#state;
    return made;
  }
}

const walker = (name: string): Walker => new Walker(automata.get(name)!);
const RINGS = 3;
const PROTOCOL: VhostUserProtocolFeature[] = ['LOG_SHMFD', 'REPLY_ACK', 'DEVICE_STATE', 'PAGEFAULT', 'RARP'];
const BASE_FEATURES = featureBits(VIRTIO_FEATURES.VERSION_1, VHOST_USER_F_PROTOCOL_FEATURES);
const LOG_ALL = featureBits(VHOST_FEATURES.LOG_ALL);
const text = (word: bigint): string => `0x${word.toString(16)}`;

/** A step: what it is to the machines, and the event that tells it. */
interface Step {
  session?: string[];
  ring?: [index: number, event: string];
  transfer?: string;
  postcopy?: string;
  told: TraceEvent;
  base?: number;
}

/** A session of one back end: only steps that every chart takes are taken. */
export class LegalSession {
  readonly events: TraceEvent[] = [];
  #session = walker('vhost-user');
  #transfer = walker('vhost-user-transfer');
  #postcopy = walker('vhost-user-postcopy');
  #rings = Array.from({ length: RINGS }, () => walker('vhost-user-vring'));
  readonly #bases = Array.from({ length: RINGS }, () => 0);
  #logAll = false;

  constructor(
    readonly random: (below: number) => number,
    readonly on: { host: string; device: string } = { host: 'source', device: 'net0' },
  ) {
    this.events.push(this.#told('vhost_open'));
    const word = text(featureBits(...PROTOCOL.map((name) => VHOST_USER_PROTOCOL_FEATURES[name])));
    this.#do({
      session: ['OFFER.protocol'],
      told: this.#told('vhost_offered', { features: text(BASE_FEATURES | LOG_ALL) }),
    });
    this.#do({ session: ['PROTOCOL.get'], told: this.#told('vhost_offered', { protocolFeatures: word }) });
    this.#do({
      session: ['PROTOCOL.set'],
      told: this.#told('vhost_set_protocol_features', { features: word }),
    });
    this.#do({ session: ['OWNER'], told: this.#told('vhost_set_owner') });
  }

  #told(kind: TraceEvent['kind'], fields: object = {}): TraceEvent {
    return { kind, ...this.on, interface: 'user', ...fields } as unknown as TraceEvent;
  }

  #steps(): Step[] {
    const index = this.random(RINGS);
    const log = this.random(2) === 1;
    const read = (this.#bases[index]! + this.#done(index)) & 0xffff;
    const bare = (kind: TraceEvent['kind'], fields: object): TraceEvent =>
      ({ kind, ...this.on, ...fields }) as unknown as TraceEvent;
    const write = (what: EventOf<'vhost_write'>['what']) =>
      bare('vhost_write', { index, what, address: 0x8000, length: 64 });
    return [
      { session: ['MEM'], told: this.#told('vhost_mem_table', { regions: [{ gpa: 0, size: 0x100_0000 }] }) },
      { session: ['LOG'], told: this.#told('vhost_log_base', { size: 512 }) },
      {
        session: [log ? 'ACK.protocol.log' : 'ACK.protocol'],
        told: this.#told('vhost_set_features', {
          features: text(log ? BASE_FEATURES | LOG_ALL : BASE_FEATURES),
        }),
      },
      { ring: [index, 'NUM'], told: this.#told('vring_num', { index, num: 256 }) },
      { ring: [index, 'BASE'], told: this.#told('vring_base', { index, num: 7 * index }), base: 7 * index },
      {
        session: ['ADDR'],
        ring: [index, log ? 'ADDR.log' : 'ADDR'],
        told: this.#told('vring_addr', { index, log, logGuestAddr: 0x1000 * (index + 1) }),
      },
      { ring: [index, 'KICK'], told: this.#told('vring_kick_fd', { index, attached: true }) },
      { ring: [index, 'KICK'], told: this.#told('vring_kick_fd', { index, attached: true }) },
      { ring: [index, 'KICKED'], told: this.#told('vring_kick', { index }) },
      {
        ring: [index, 'STOP'],
        told: this.#told('vring_base_read', { index, num: read, errno: 0 }),
        base: read,
      },
      {
        session: ['ENABLE'],
        ring: [index, 'ENABLE.on'],
        told: this.#told('vring_enable', { index, on: true }),
      },
      {
        session: ['ENABLE'],
        ring: [index, 'ENABLE.off'],
        told: this.#told('vring_enable', { index, on: false }),
      },
      { session: ['WRITE'], ring: [index, 'WORK'], told: write('used') },
      { session: ['WRITE'], ring: [index, 'EFFECT'], told: write('buffer') },
      { transfer: 'BEGIN.save', told: this.#told('vhost_state_fd', { direction: 'save', errno: 0 }) },
      { transfer: 'BEGIN.load', told: this.#told('vhost_state_fd', { direction: 'load', errno: 0 }) },
      { transfer: 'END', told: this.#told('vhost_state_end') },
      { transfer: 'CHECK.ok', told: this.#told('vhost_state_check', { errno: 0 }) },
      { transfer: 'CHECK.error', told: this.#told('vhost_state_check', { errno: 5 }) },
      { postcopy: 'ADVISE', told: this.#told('vhost_postcopy', { step: 'advise' }) },
      { postcopy: 'LISTEN', told: this.#told('vhost_postcopy', { step: 'listen' }) },
      { postcopy: 'END', told: this.#told('vhost_postcopy', { step: 'end' }) },
    ];
  }

  /** Buffers that a ring has taken in this run: none where it cannot have run. */
  #done(index: number): number {
    return this.#rings[index]!.configuration[0] === 'started' ? this.random(9) : 0;
  }

  /** Tries one random step; what a chart refuses is left out. */
  advance(): void {
    const steps = this.#steps();
    this.#do(steps[this.random(steps.length)]!);
  }

  #do(made: Step): void {
    const [index, ringEvent] = made.ring ?? [0, undefined];
    const session = this.#session.copy();
    const transfer = this.#transfer.copy();
    const postcopy = this.#postcopy.copy();
    const rings = this.#rings.map((ring) => ring.copy());
    const ring = rings[index]!;
    const logAll = made.session?.[0]?.startsWith('ACK.') ? made.session[0].endsWith('.log') : this.#logAll;
    // Without a log only a VMM in trouble switches logging on: a remark, and none of a legal session.
    if (logAll && !/^(given|on)$/.test(this.#session.configuration[3]!)) return;
    const taken =
      (made.session ?? []).every((event) => session.take(event)) &&
      (ringEvent === undefined || ring.take(ringEvent)) &&
      (made.transfer === undefined || transfer.take(made.transfer)) &&
      (made.postcopy === undefined || postcopy.take(made.postcopy)) &&
      this.#settle(session, transfer, rings);
    if (!taken) return;
    [this.#session, this.#transfer, this.#postcopy, this.#rings] = [session, transfer, postcopy, rings];
    this.#logAll = logAll;
    if (made.base !== undefined) this.#bases[index] = made.base;
    this.events.push(made.told);
  }

  /** What follows for the device from where its rings are. */
  #settle(session: Walker, transfer: Walker, rings: readonly Walker[]): boolean {
    const levels = rings.map(({ configuration }) => ({ armed: 1, started: 2 })[configuration[0]!] ?? 0);
    const event = `RINGS.${['stopped', 'armed', 'started'][Math.max(...levels)]}`;
    const runs = rings.filter(
      ({ configuration: [processing, enabling] }) =>
        /^(armed|started)$/.test(processing!) && enabling === 'enabled',
    );
    return (
      session.take(event) &&
      transfer.take(event) &&
      runs.every(({ configuration }) => session.take(configuration[3] === 'logged' ? 'RUN.log' : 'RUN'))
    );
  }
}

/** Bytes and descriptors that a request or its answer may have. */
const least = (bounds: readonly [number, number] | undefined): number => bounds?.[0] ?? 0;

/** The messages of a request, and its answer where it has one; a shared log is answered. */
export function messagesOf(event: TraceEvent, needReply = false, sharedLog = true): TraceEvent[] {
  const request = decodedRequest(event);
  if (request === undefined || !('device' in event)) return [];
  const shape = vhostUserRequestShape(request)!;
  const at = { host: event.host, device: event.device, ...(event.t === undefined ? {} : { t: event.t }) };
  const table = request === 'SET_MEM_TABLE';
  const payload = table ? 40 : request === 'SET_LOG_BASE' ? 16 : least(shape.payload);
  const own = shape.reply === 'own' || (sharedLog && shape.reply === 'log');
  const asked: TraceEvent = {
    kind: 'vhost_message',
    ...at,
    request,
    from: 'front_end',
    reply: false,
    needReply: needReply && !own,
    size: payload,
    fds: table || request === 'SET_LOG_BASE' ? 1 : shape.fds[0],
    ...(/^SET_VRING_(KICK|CALL)$/.test(request) ? { noFd: false } : {}),
  };
  if (!own && !needReply) return [asked];
  const answer: TraceEvent = {
    kind: 'vhost_message',
    ...at,
    request,
    from: 'back_end',
    reply: true,
    size: shape.reply === 'log' ? 8 : least(shape.replyPayload),
    fds: 0,
  };
  return [asked, answer];
}

/** The same session with its messages, told before what they say, or after it. */
export function withMessages(
  events: readonly TraceEvent[],
  where: 'before' | 'after',
  needReply = false,
  sharedLog = true,
): TraceEvent[] {
  return events.flatMap((event) => {
    const messages = messagesOf(event, needReply, sharedLog);
    return where === 'before' ? [...messages, event] : [event, ...messages];
  });
}

/** The same session as a log of QEMU tells it: names of requests, and which ring is set up or taken down. */
export function messagesOnly(events: readonly TraceEvent[]): TraceEvent[] {
  return events.flatMap((event): TraceEvent[] => {
    if (event.kind === 'vhost_open' || event.kind === 'vhost_close') return [event];
    const messages = messagesOf(event).map((message) => {
      const { size: _size, fds: _fds, noFd: _noFd, ...rest } = message as EventOf<'vhost_message'>;
      return rest as TraceEvent;
    });
    const around =
      event.kind === 'vring_base_read'
        ? 'vring_stop'
        : RING_SETUP.has(event.kind)
          ? 'vring_start'
          : undefined;
    if (around === undefined || !('index' in event) || !('device' in event)) return messages;
    const window = (begin: boolean): TraceEvent =>
      ({ kind: around, host: event.host, device: event.device, index: event.index, begin }) as TraceEvent;
    return [window(true), ...messages, window(false)];
  });
}

const RING_SETUP: ReadonlySet<string> = new Set(['vring_num', 'vring_base', 'vring_addr', 'vring_kick_fd']);
