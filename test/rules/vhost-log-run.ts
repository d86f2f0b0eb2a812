import { backEndOf, LOGGED, PLAIN } from '../../src/rules/vhost-example.js';
import type { EventOf, TraceEvent } from '../../src/trace/event.js';
import { VHOST_FEATURES } from '../../src/uapi/vhost.js';
import { hasFeature, USED } from '../../src/uapi/virtio.js';

/** Numbers below a bound, one after the other, always the same for a seed. */
export function numbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

type Written = EventOf<'vhost_write'>;

/** A run of a back end that marks what it writes, but for the marks that are told to be left out. */
export interface LogRun {
  readonly events: TraceEvent[];
  /** How many marks there were; each may be left out of another run with the same seed. */
  readonly marks: number;
  /** Whether the write of a mark was logged, by its number. */
  readonly logged: readonly Written[];
}

const PAGE = 4096;
const REGION = 0x800_0000;

interface Ring {
  readonly index: number;
  readonly num: number;
  readonly used: number;
  slot: number;
  running: boolean;
}

/** The back end, the VMM and the log of such a run. */
class Run {
  readonly events: TraceEvent[] = [];
  readonly logged: Written[] = [];
  readonly #random: (below: number) => number;
  readonly #words: ReturnType<typeof backEndOf>;
  readonly #left: ReadonlySet<number>;
  readonly #rings: Ring[];
  #log = new Set<number>();
  /** Marks on their way. */
  #late: number[] = [];
  #marks = 0;
  #logAll = false;
  #flags = false;

  constructor(seed: number, left: ReadonlySet<number>) {
    this.#random = numbers(seed);
    this.#left = left;
    this.#words = backEndOf(this.#random(2) === 0 ? 'kernel' : 'user');
    this.#rings = Array.from({ length: 1 + this.#random(3) }, (_, index) => ({
      index,
      num: 2 ** (2 + this.#random(9)),
      used: 0x10_0000 * (index + 1) + 4 * this.#random(1024),
      slot: 0,
      running: false,
    }));
  }

  get marks(): number {
    return this.#marks;
  }

  go(steps: number): void {
    const { events } = this;
    const w = this.#words;
    events.push(...w.setUp(), w.table(REGION));
    for (const ring of this.#rings) this.#start(ring);
    for (let n = this.#random(4); n > 0; n--) this.#work();
    this.#logOn();
    for (let step = 0; step < steps; step++) this.#step();
    for (const ring of this.#rings) this.#halt(ring);
    this.#read(true);
    if (this.#random(2) === 0) this.#read(false);
  }

  #step(): void {
    const choice = this.#random(20);
    if (choice < 12) this.#work();
    else if (choice < 15) this.#read(false);
    else if (choice === 15) this.#swap();
    else if (choice === 16) this.#settle();
    else if (choice === 17) {
      const ring = this.#rings[this.#random(this.#rings.length)]!;
      if (ring.running) this.#halt(ring);
      else this.#start(ring);
    } else if (choice === 18 && this.#random(4) === 0) {
      this.#logOff();
      this.#work();
      this.#logOn();
    }
  }

  #addr(ring: Ring): TraceEvent {
    return this.#words.addr(ring.index, this.#flags, { logGuestAddr: ring.used });
  }

  #start(ring: Ring): void {
    const { index, num } = ring;
    const w = this.#words;
    ring.slot = 0;
    ring.running = true;
    this.events.push(w.num(index, num), w.base(index, 0), this.#addr(ring));
    this.events.push(w.request('vring_kick_fd', { index, attached: true }));
    // What a ring writes when it gets its backend is told before the request has returned.
    this.#write({ index, what: 'used_flags', address: ring.used, length: 2 });
    this.events.push(...w.run(index));
  }

  #halt(ring: Ring): void {
    this.#settle();
    if (ring.running) this.events.push(...this.#words.halt(ring.index));
    ring.running = false;
  }

  #logOn(): void {
    this.#log = new Set();
    this.#late = [];
    this.events.push(this.#words.log(REGION / PAGE / 8));
    this.#logAll = true;
    this.events.push(this.#words.features(LOGGED));
    this.#flags = true;
    for (const ring of this.#rings) this.events.push(this.#addr(ring));
    this.#read(false);
  }

  #logOff(): void {
    this.#logAll = false;
    this.events.push(this.#words.features(PLAIN));
    this.#flags = false;
    for (const ring of this.#rings) this.events.push(this.#addr(ring));
  }

  /** One ring does something. */
  #work(): void {
    const ring = this.#rings[this.#random(this.#rings.length)]!;
    if (!ring.running) return;
    const { index, used, num } = ring;
    const choice = this.#random(4);
    if (choice === 0) {
      const address = 0x200_0000 + this.#random(0x40_0000);
      this.#write({
        index,
        what: 'buffer',
        address,
        length: 1 + this.#random(this.#random(2) ? 20_000 : 1500),
      });
    } else if (choice === 1)
      this.#write({ index, what: 'avail_event', address: used + USED.event(num), length: 2 });
    else this.#use(ring, 1 + this.#random(num));
  }

  /** A batch of used elements, in two runs at the end of the ring, and the index. */
  #use(ring: Ring, count: number): void {
    const { index, used, num } = ring;
    for (let left = count; left > 0; ) {
      const run = Math.min(left, num - ring.slot);
      this.#write({ index, what: 'used', address: used + USED.ring + 8 * ring.slot, length: 8 * run });
      ring.slot = (ring.slot + run) % num;
      left -= run;
    }
    this.#write({ index, what: 'used_idx', address: used + USED.idx, length: 2 });
  }

  #write(write: Pick<Written, 'what' | 'address' | 'length'> & { index: number }): void {
    const { index, what, length } = write;
    const address = write.address as number;
    const event = this.#words.write(what, address, length, index) as Written;
    this.events.push(event);
    if (!(what === 'buffer' ? this.#logAll : this.#flags)) return;
    for (let page = Math.floor(address / PAGE); page <= Math.floor((address + length - 1) / PAGE); page++) {
      this.logged.push(event);
      if (!this.#left.has(this.#marks++)) this.#late.push(page);
    }
    if (this.#random(3) > 0) this.#settle();
  }

  #settle(): void {
    for (const page of this.#late.splice(0)) this.#log.add(page);
    // A bit too many does no harm.
    if (this.#random(16) === 0) this.#log.add(0x2100 + this.#random(64));
  }

  #swap(): void {
    const old = this.#log;
    if (this.#random(2) === 0) this.#settle();
    this.#log = new Set();
    this.events.push(this.#words.log(REGION / PAGE / 8));
    this.events.push(this.#words.read([...old].sort((a, b) => a - b)));
  }

  #read(final: boolean): void {
    const pages = [...this.#log].sort((a, b) => a - b);
    this.#log.clear();
    this.events.push(this.#words.read(pages, final));
  }
}

/** @param left numbers of marks that are not made */
export function logRun(seed: number, left: readonly number[] = [], steps = 40): LogRun {
  const run = new Run(seed, new Set(left));
  run.go(steps);
  const { events, marks, logged } = run;
  return { events, marks, logged };
}

/**
 * The law as one would write it down: a page of a logged write is in some reading behind the write. Only the last
 * time that logging was switched on counts.
 */
export function naiveMissing(events: readonly TraceEvent[]): Set<number> {
  const missing = new Set<number>();
  const from = events.findLastIndex((event, at) => isLogged(event) && !switched(events, at));
  const final = events.findIndex((event) => event.kind === 'vhost_log_read' && event.final);
  let logAll = false;
  const flags = new Map<number, boolean>();
  for (const [at, event] of events.entries()) {
    if (event.kind === 'vhost_set_features') logAll = isLogged(event);
    else if (event.kind === 'vring_addr') flags.set(event.index, event.log === true);
    else if (event.kind === 'vhost_write' && at > from) {
      const address = event.address as number;
      if (!(event.what === 'buffer' ? logAll : flags.get(event.index!))) continue;
      for (let page = Math.floor(address / PAGE); page * PAGE < address + event.length; page++)
        if (!isRead(events, page, at, final)) missing.add(page);
    }
  }
  return missing;
}

/** Whether LOG_ALL was on before this event. */
function switched(events: readonly TraceEvent[], at: number): boolean {
  const before = events.slice(0, at).findLast(({ kind }) => kind === 'vhost_set_features');
  return before !== undefined && isLogged(before);
}

const isLogged = (event: TraceEvent): boolean =>
  event.kind === 'vhost_set_features' && hasFeature(BigInt(event.features!), VHOST_FEATURES.LOG_ALL);

function isRead(events: readonly TraceEvent[], page: number, from: number, to: number): boolean {
  for (let at = from + 1; at <= to; at++) {
    const event = events[at]!;
    if (
      event.kind === 'vhost_log_read' &&
      event.pages.some(([first, count]) => page >= first && page < first + count)
    )
      return true;
  }
  return false;
}
