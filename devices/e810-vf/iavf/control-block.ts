import { crc32 } from 'node:zlib';
import type { GuestMemory } from 'stopcopy/migrate';
import type { RamLayout } from './ram-layout.js';

/**
 * Everything that the driver knows, as words of 32 bits in guest RAM. It is read when the driver begins to
 * run and written when it pauses, so a driver object made anew over the same RAM goes on where another stopped.
 */
const HEADER = [
  'magic',
  /** Of all words behind this one, and the complaints. */
  'checksum',
  /** How often the block was written; the witness has the same number. */
  'generation',
  'queuePairs',
  'seed',
  /** A number of `DRIVER_STATES`. */
  'state',
  /** How often the driver ran. */
  'runs',
  /** Run in which the state was entered. */
  'stateSince',
  /** Requests that are due, by bits of `REQUESTS`. */
  'required',
  /** The request that waits for its answer: opcode (0: none), since which run, and what it is about. */
  'operation',
  'operationSince',
  'operationDetail',
  'random',
  'resetWanted',
  /** Mailbox and rings were set up at least once. */
  'mailboxReady',
  'ringsReady',
  'vsiId',
  'caps',
  'rxdid',
  'linkUp',
  /** Filters that come and go: a bit each, wanted and with the PF. */
  'vlansWanted',
  'vlansSet',
  'macsWanted',
  'macsSet',
  /** Descriptors of the mailbox rings, counted from their start on. */
  'atqUsed',
  'atqCleaned',
  'arqCleaned',
  'requests',
  'answered',
  'misanswered',
  /** Requests that a reset took away. */
  'cancelled',
  'refused',
  'events',
  'resets',
  'framesSent',
  'framesReceived',
  /** Run in which the last one was received. */
  'receivedAt',
  'framesAlien',
  /** How often finished work was there without its interrupt. */
  'interruptsMissed',
  'complaints',
] as const;

/**
 * A vector: how often its handler was called when it was served last, and in how many runs in a row work was there
 * without an interrupt.
 */
const VECTOR = ['served', 'late'] as const;
/** A queue pair; descriptors are counted from the start of the rings on, the index is the rest. */
const QUEUE = ['txUsed', 'txCleaned', 'txSince', 'rxPosted', 'rxCleaned', 'txNextFlow'] as const;
/** A flow of the driver's: frames handed over, completed, and taken away by a reset. */
const FLOW_OUT = ['sent', 'completed', 'discarded'] as const;
/** A flow of the wire's: `sequence.ts`, frames with wrong content, and 1 + the queue it came on (0: none yet). */
const FLOW_IN = ['next', 'window', 'seen', 'duplicated', 'reordered', 'corrupted', 'queue'] as const;

type Words<T extends readonly string[]> = { [K in T[number]]: number };
export type VectorWords = Words<typeof VECTOR>;
export type QueueWords = Words<typeof QUEUE>;
export type FlowOutWords = Words<typeof FLOW_OUT>;
export type FlowInWords = Words<typeof FLOW_IN>;

/** The control block as an object. */
export interface ControlBlock extends Words<typeof HEADER> {
  vectors: VectorWords[];
  queues: QueueWords[];
  flowsOut: FlowOutWords[];
  flowsIn: FlowInWords[];
  /** What went wrong, in words; the newest ones are dropped when there are too many. */
  texts: string[];
}

/** How many of each there are. */
export interface ControlCounts {
  readonly queuePairs: number;
  readonly flowsOut: number;
  readonly flowsIn: number;
}

const MAGIC = 0x69617666; // "iavf"
const TEXTS = { count: 8, size: 160 } as const;

const zeros = <const T extends readonly string[]>(names: T): Words<T> =>
  Object.fromEntries(names.map((name) => [name, 0])) as Words<T>;

/** A driver that has not begun. */
export function newControlBlock(counts: ControlCounts, seed: number): ControlBlock {
  const many = <T>(length: number, make: () => T): T[] => Array.from({ length }, make);
  return {
    ...zeros(HEADER),
    magic: MAGIC,
    queuePairs: counts.queuePairs,
    seed,
    vectors: many(1 + counts.queuePairs, () => zeros(VECTOR)),
    queues: many(counts.queuePairs, () => zeros(QUEUE)),
    flowsOut: many(counts.flowsOut, () => zeros(FLOW_OUT)),
    flowsIn: many(counts.flowsIn, () => zeros(FLOW_IN)),
    texts: [],
  };
}

const wordsOf = ({ queuePairs, flowsOut, flowsIn }: ControlCounts): number =>
  HEADER.length +
  VECTOR.length * (1 + queuePairs) +
  QUEUE.length * queuePairs +
  FLOW_OUT.length * flowsOut +
  FLOW_IN.length * flowsIn;

/** Bytes of the control block. */
export const controlSize = (counts: ControlCounts): number => 4 * wordsOf(counts) + TEXTS.count * TEXTS.size;

/** Adds a complaint, unless it is there or there are enough. */
export function complain(block: ControlBlock, text: string): void {
  block.complaints++;
  if (block.texts.length < TEXTS.count && !block.texts.includes(text)) block.texts.push(text);
}

/** What reading the control block has given. */
export type LoadResult =
  | { readonly kind: 'fresh' }
  | { readonly kind: 'block'; readonly block: ControlBlock }
  | { readonly kind: 'damaged'; readonly words: string };

/** The control block and its witness, in guest RAM. */
export class ControlStore {
  readonly #memory: GuestMemory;
  readonly #layout: RamLayout;
  readonly #counts: ControlCounts;
  /** The block as it was last read or written. */
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #found: Uint8Array;
  /** What `#bytes` says: decoded again only when RAM says something else. */
  #decoded: ControlBlock | null = null;
  readonly #witness = new DataView(new ArrayBuffer(16));

  constructor(memory: GuestMemory, layout: RamLayout, counts: ControlCounts) {
    this.#memory = memory;
    this.#layout = layout;
    this.#counts = counts;
    this.#bytes = new Uint8Array(controlSize(counts));
    this.#found = new Uint8Array(this.#bytes.length);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Reads the block, and tells one that is damaged, or not the newest, by its checksum and its witness. */
  load(): LoadResult {
    this.#memory.read(this.#layout.control.start, this.#found);
    if (this.#decoded === null || Buffer.compare(this.#found, this.#bytes) !== 0) {
      this.#decoded = null;
      this.#bytes.set(this.#found);
    }
    this.#memory.read(this.#layout.witness.start, new Uint8Array(this.#witness.buffer));
    const witness = {
      magic: this.#witness.getUint32(0, true),
      generation: this.#witness.getUint32(4, true),
      checksum: this.#witness.getUint32(8, true),
    };
    const isBlock = this.#view.getUint32(0, true) === MAGIC;
    if (!isBlock && witness.magic !== MAGIC) return { kind: 'fresh' };
    if (!isBlock) return damaged('is gone');
    const told = this.#view.getUint32(4, true);
    if (this.#decoded === null && told !== this.#checksum()) return damaged('has a wrong checksum');
    this.#decoded ??= this.#decode();
    const block = this.#decoded;
    if (witness.magic !== MAGIC) return damaged('has lost its witness');
    if (witness.generation !== block.generation || witness.checksum !== told)
      return damaged(`is of generation ${block.generation}, and its witness of ${witness.generation}`);
    return { kind: 'block', block };
  }

  /** Writes the block as a new generation. */
  store(block: ControlBlock): void {
    block.generation = (block.generation + 1) >>> 0;
    this.#encode(block);
    block.checksum = this.#checksum();
    this.#view.setUint32(4, block.checksum, true);
    this.#memory.write(this.#layout.control.start, this.#bytes);
    [MAGIC, block.generation, block.checksum].forEach((word, index) => {
      this.#witness.setUint32(4 * index, word, true);
    });
    this.#memory.write(this.#layout.witness.start, new Uint8Array(this.#witness.buffer));
  }

  #checksum(): number {
    return crc32(this.#bytes.subarray(8));
  }

  #decode(): ControlBlock {
    let at = 0;
    const take = <T extends readonly string[]>(names: T): Words<T> => {
      const words: Record<string, number> = {};
      for (const name of names) {
        words[name] = this.#view.getUint32(at, true);
        at += 4;
      }
      return words as Words<T>;
    };
    const many = <T>(length: number, one: () => T): T[] => Array.from({ length }, one);
    const { queuePairs, flowsOut, flowsIn } = this.#counts;
    return {
      ...take(HEADER),
      vectors: many(1 + queuePairs, () => take(VECTOR)),
      queues: many(queuePairs, () => take(QUEUE)),
      flowsOut: many(flowsOut, () => take(FLOW_OUT)),
      flowsIn: many(flowsIn, () => take(FLOW_IN)),
      texts: this.#texts(),
    };
  }

  #encode(block: ControlBlock): void {
    let at = 0;
    const put = <T extends readonly string[]>(names: T, words: Words<T>): void => {
      for (const name of names) {
        this.#view.setUint32(at, words[name as T[number]], true);
        at += 4;
      }
    };
    put(HEADER, block);
    for (const vector of block.vectors) put(VECTOR, vector);
    for (const queue of block.queues) put(QUEUE, queue);
    for (const flow of block.flowsOut) put(FLOW_OUT, flow);
    for (const flow of block.flowsIn) put(FLOW_IN, flow);
    this.#bytes.fill(0, at);
    block.texts.slice(0, TEXTS.count).forEach((text, index) => {
      const room = this.#bytes.subarray(at + index * TEXTS.size, at + (index + 1) * TEXTS.size - 1);
      new TextEncoder().encodeInto(text, room);
    });
  }

  #texts(): string[] {
    const start = 4 * wordsOf(this.#counts);
    return Array.from({ length: TEXTS.count }, (_, index) => {
      const room = this.#bytes.subarray(start + index * TEXTS.size, start + (index + 1) * TEXTS.size);
      return new TextDecoder().decode(room.subarray(0, room.indexOf(0)));
    }).filter((text) => text !== '');
  }
}

const damaged = (words: string): LoadResult => ({
  kind: 'damaged',
  words: `guest RAM is damaged: the driver's control block ${words}`,
});
