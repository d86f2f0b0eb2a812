import { mix, nextRandom } from '../e810-vf/random.js';
import { enter, newSequence, type Sequence } from '../e810-vf/sequence.js';
import { rarpAnnouncement } from '../e810-vf/wire.js';

/** What a network device is plugged into. */
export interface Port {
  /** The frame that waits for the guest, or null: the same one until it is taken or dropped. */
  waiting(): Uint8Array | null;
  /** The frame that waits went into the guest's memory. */
  taken(): void;
  /** The frame that waits is not for the guest, or nobody will take it. */
  dropped(): void;
  /** A frame of the guest; its bytes are valid during the call. */
  transmit(frame: Uint8Array, pair: number): void;
}

/** Bytes of an Ethernet frame without FCS; frames that the guest's stack segments by itself are longer. */
export const NET_FRAME = { least: 60, most: 1514, mostSegmented: 65_549 } as const;

/** MAC of the wire's peer: locally administered. */
export const NET_PEER_MAC: Uint8Array = Uint8Array.of(0x02, 0x77, 0x69, 0x72, 0x65, 0x01);
/** Ethertype for local experiments (IEEE 802). */
const ETHERTYPE = 0x88b5;
/** Behind the Ethernet head: mark, flow u8, sequence u32, size u32, big-endian. */
const [HEAD, TAG] = [14, 12];
const POOL_BITS = 16;
/** Content is a window into this pool; the same for all seeds, the window is not. */
const POOL = (() => {
  const words = new Uint32Array(((1 << POOL_BITS) + NET_FRAME.mostSegmented + 3) >> 2);
  let random = mix(0x706f6f6c);
  for (let at = 0; at < words.length; at++) {
    random = nextRandom(random);
    words[at] = random;
  }
  return new Uint8Array(words.buffer);
})();

/** `toGuest`: from the wire; `fromGuest`: to the wire. */
export type NetDirection = 'toGuest' | 'fromGuest';
const MARK: Readonly<Record<NetDirection, number>> = { toGuest: 0xc3, fromGuest: 0x3c };

export interface NetFramesOptions {
  readonly seed: number;
  /** The guest's MAC, six bytes. */
  readonly mac: Uint8Array;
  /** Longest frame to the guest, and from it. */
  readonly most: Readonly<Record<NetDirection, number>>;
}

/** What a frame says of itself. */
export interface NetTag {
  readonly flow: number;
  readonly sequence: number;
}

/** Numbered frames whose content follows from seed, direction, flow and number alone. */
export class NetFrames {
  readonly #options: NetFramesOptions;
  readonly #again: Record<NetDirection, Uint8Array>;

  constructor(options: NetFramesOptions) {
    this.#options = options;
    const { most } = options;
    this.#again = { toGuest: new Uint8Array(most.toGuest), fromGuest: new Uint8Array(most.fromGuest) };
  }

  /** Bytes of a frame: a third short, a third full, the rest anything between. */
  sizeOf(direction: NetDirection, flow: number, sequence: number): number {
    const { seed, most } = this.#options;
    const draw = mix(seed, MARK[direction], flow, sequence, 1);
    if (draw % 3 === 0) return NET_FRAME.least;
    if (draw % 3 === 1) return most[direction];
    return NET_FRAME.least + ((draw >>> 3) % (most[direction] - NET_FRAME.least + 1));
  }

  /** A frame; its bytes are valid until the next one of this direction is built. */
  build(direction: NetDirection, flow: number, sequence: number): Uint8Array {
    const size = this.sizeOf(direction, flow, sequence);
    const frame = this.#again[direction].subarray(0, size);
    const view = new DataView(frame.buffer, frame.byteOffset, size);
    const { seed, mac } = this.#options;
    frame.set(direction === 'toGuest' ? mac : NET_PEER_MAC, 0);
    frame.set(direction === 'toGuest' ? NET_PEER_MAC : mac, 6);
    view.setUint16(12, ETHERTYPE);
    view.setUint16(HEAD, MARK[direction]);
    view.setUint16(HEAD + 2, flow);
    view.setUint32(HEAD + 4, sequence);
    view.setUint32(HEAD + 8, size);
    const start = mix(seed, MARK[direction], flow, sequence, 2) >>> (32 - POOL_BITS);
    frame.set(POOL.subarray(start, start + size - HEAD - TAG), HEAD + TAG);
    return frame;
  }

  /**
   * Reads a frame that has arrived.
   * @returns its tag, with what is wrong when its content is not what its tag says; null: not of this traffic
   */
  inspect(direction: NetDirection, frame: Uint8Array): (NetTag & { readonly wrong?: string }) | null {
    if (frame.length < NET_FRAME.least) return null;
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    if (view.getUint16(12) !== ETHERTYPE || view.getUint16(HEAD) !== MARK[direction]) return null;
    const tag = { flow: view.getUint16(HEAD + 2), sequence: view.getUint32(HEAD + 4) };
    const size = this.sizeOf(direction, tag.flow, tag.sequence);
    if (size !== frame.length) return { ...tag, wrong: `has ${frame.length} bytes in place of ${size}` };
    const same = Buffer.compare(frame, this.build(direction, tag.flow, tag.sequence)) === 0;
    return same ? tag : { ...tag, wrong: 'has other content' };
  }
}

export interface NetWireOptions extends NetFramesOptions {
  /** Flows to the guest; default 4. */
  readonly flows?: number;
}

/** What went over a wire. */
export interface NetWireCounts {
  taken: number;
  dropped: number;
  /** Frames of the guest that are none of the traffic, and that have other content than they say. */
  alien: number;
  corrupted: number;
  announcements: number;
}

/** What a wire knows: plain data. A frame that waits is drawn anew, and has the next number of its flow. */
export interface NetWireState {
  readonly counts: NetWireCounts;
  readonly fromGuest: readonly (readonly [flow: number, sequence: Sequence])[];
  readonly next: readonly number[];
  readonly random: number;
  readonly offered: number;
}

/**
 * The cable and the peer at its other end. Frames wait in the order of their numbers until the device takes
 * them; what comes out of the device is checked and counted.
 */
export class NetWire implements Port {
  readonly frames: NetFrames;
  readonly counts: NetWireCounts = { taken: 0, dropped: 0, alien: 0, corrupted: 0, announcements: 0 };
  readonly fromGuest = new Map<number, Sequence>();
  readonly #next: number[];
  #random: number;
  #flow = 0;
  #offered = 0;
  #frame: Uint8Array | null = null;

  constructor(options: NetWireOptions) {
    this.frames = new NetFrames(options);
    this.#next = new Array<number>(options.flows ?? 4).fill(0);
    this.#random = mix(options.seed, 0x77697265) || 1;
  }

  /** The peer sends so many frames more. */
  offer(count: number): void {
    this.#offered += count;
  }

  /** Frames that wait. */
  get queued(): number {
    return this.#offered;
  }

  waiting(): Uint8Array | null {
    if (this.#offered === 0) return null;
    if (this.#frame === null) {
      this.#random = nextRandom(this.#random);
      this.#flow = (this.#random >>> 5) % this.#next.length;
      this.#frame = this.frames.build('toGuest', this.#flow, this.#next[this.#flow]!).slice();
    }
    return this.#frame;
  }

  taken(): void {
    this.counts.taken++;
    this.#advance();
  }

  dropped(): void {
    this.counts.dropped++;
    this.#advance();
  }

  transmit(frame: Uint8Array): void {
    if (isRarp(frame)) {
      this.counts.announcements++;
      return;
    }
    const tag = this.frames.inspect('fromGuest', frame);
    if (tag === null) this.counts.alien++;
    else if (tag.wrong !== undefined) this.counts.corrupted++;
    else {
      const flow = this.fromGuest.get(tag.flow) ?? newSequence();
      enter(flow, tag.sequence);
      this.fromGuest.set(tag.flow, flow);
    }
  }

  /** All that the wire knows, for the wire of another host that the cable is put into. */
  get state(): NetWireState {
    const { counts, fromGuest } = this;
    const next = [...this.#next];
    return {
      counts: { ...counts },
      fromGuest: [...fromGuest],
      next,
      random: this.#random,
      offered: this.#offered,
    };
  }

  set state({ counts, fromGuest, next, random, offered }: NetWireState) {
    Object.assign(this.counts, counts);
    this.fromGuest.clear();
    for (const [flow, sequence] of fromGuest) this.fromGuest.set(flow, { ...sequence });
    this.#next.splice(0, this.#next.length, ...next);
    this.#random = random;
    this.#offered = offered;
    this.#frame = null;
  }

  #advance(): void {
    this.#next[this.#flow]!++;
    this.#offered--;
    this.#frame = null;
  }
}

/** A port that nothing comes out of and that swallows all. */
export class DeadPort implements Port {
  waiting(): null {
    return null;
  }
  taken(): void {}
  dropped(): void {}
  transmit(): void {}
}

/** A port that sends every frame of the guest back, with sender and receiver changed places. */
export class EchoPort implements Port {
  readonly #most: number;
  readonly #frames: Uint8Array[] = [];

  /** @param most frames that wait at most; what comes then is lost */
  constructor(most = 256) {
    this.#most = most;
  }

  waiting(): Uint8Array | null {
    return this.#frames[0] ?? null;
  }
  taken(): void {
    this.#frames.shift();
  }
  dropped(): void {
    this.#frames.shift();
  }
  transmit(frame: Uint8Array): void {
    if (this.#frames.length >= this.#most || frame.length < HEAD) return;
    const back = frame.slice();
    back.copyWithin(0, 6, 12);
    back.set(frame.subarray(0, 6), 6);
    this.#frames.push(back);
  }
}

export { rarpAnnouncement };

const RARP = 0x8035;
const isRarp = (frame: Uint8Array): boolean =>
  frame.length >= 42 && frame[12] === RARP >> 8 && frame[13] === (RARP & 0xff);
