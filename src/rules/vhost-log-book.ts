import type { EventKind, EventOf, TraceEvent } from '../trace/event.js';
import { VHOST_LOG_PAGE } from '../uapi/vhost-log.js';
import { USED } from '../uapi/virtio.js';
import type { HostView, Scope, Watch } from './rule.js';
import { BackEnd, Laws } from './vhost-log-back-end.js';
import { type Law, lawOfMiss, pageWords } from './vhost-log-blame.js';
import { areTwins, inRuns, MAX_PAGES, pagesOf, type Write } from './vhost-log-pages.js';
import { takeExtra, takeFinal, takeLate, takeOverrun, tellEarly } from './vhost-log-readings.js';

/** Most pages of a look at memory that are taken. */
const MAX_LOOKS = 1 << 16;
/** Most readings that are kept until somebody looks at memory. */
const MAX_READINGS = 256;
const MIGRATING: ReadonlySet<string> = new Set(['active', 'pre-switchover', 'backEnd']);
const NOT_DONE: ReadonlySet<string> = new Set(['failed', 'cancelled']);

/** Laws of the VMM that each write of a migration under way puts to the test. */
const UNDER_WAY: readonly Law[] = ['ungated', 'no_log'];

/** The bookkeeping of all laws over the memory of one host's back ends. */
class LogBook {
  readonly #backEnds = new Map<string, BackEnd>();
  readonly #laws = new Laws();
  /** Pages that some back end was seen to write; null: too many to tell. */
  #written: Set<number> | null = new Set();

  constructor(readonly host: HostView) {}

  listen(law: Law, scope: Scope): void {
    this.#laws.listen(law, scope);
  }

  /** The back end of an event that is no write: by now it is clear whether a suspected write was one too many. */
  #of(event: TraceEvent & { device: string }): BackEnd {
    const backEnd = this.#backEnd(event.device);
    if ('interface' in event) backEnd.state.via = event.interface;
    if (backEnd.suspect !== undefined) this.#settleSuspect(backEnd, event);
    return backEnd;
  }

  #backEnd(id: string): BackEnd {
    const known = this.#backEnds.get(id);
    if (known) return known;
    const made = new BackEnd(id);
    this.#backEnds.set(id, made);
    return made;
  }

  /** A request to attach the backend is told when it is done, and what the ring wrote meanwhile before it. */
  #settleSuspect(backEnd: BackEnd, next: TraceEvent | undefined): void {
    const write = backEnd.suspect!;
    backEnd.suspect = undefined;
    if (next?.kind === 'vring_backend' && next.attached && !next.errno && next.index === write.index) return;
    this.#laws.fail(
      'idle_write',
      write,
      backEnd,
      `${pageWords(pagesOf(write.address, write.length).first)} was written for ring ${write.index}, which has no backend`,
    );
  }

  readonly watch: Watch = {
    vhost_open: (event) => {
      const backEnd = this.#of(event);
      backEnd.state.open();
      backEnd.begin();
      backEnd.quiet = undefined;
      backEnd.tellsWrites = false;
    },
    vhost_close: (event) => this.#stopAll(this.#of(event)),
    vhost_reset_device: (event) => {
      if (!event.errno) this.#stopAll(this.#of(event));
    },
    vhost_reset_owner: (event) => {
      const backEnd = this.#of(event);
      if (event.errno || event.interface !== 'kernel') return;
      backEnd.state.resetOwner();
      this.#stopped(backEnd);
    },
    vhost_set_features: (event) => {
      const backEnd = this.#of(event);
      if (event.errno) return;
      this.#switching(backEnd, () => backEnd.state.setFeatures(event));
      this.#size(backEnd, event);
    },
    vhost_mem_table: (event) => {
      const backEnd = this.#of(event);
      if (event.errno) return;
      backEnd.state.setMemory(event);
      this.#size(backEnd, event);
    },
    vhost_log_base: (event) => this.#logBase(this.#of(event), event),
    vring_num: (event) => {
      const backEnd = this.#of(event);
      if (!event.errno) backEnd.state.ring(event.index).num = event.num;
    },
    vring_addr: (event) => {
      const backEnd = this.#of(event);
      if (event.errno) return;
      this.#switching(backEnd, () => backEnd.state.setAddr(event));
      this.#size(backEnd, event);
    },
    vring_backend: (event) => {
      const backEnd = this.#of(event);
      if (event.errno) return;
      if (event.attached) this.#runs(backEnd, event.index);
      else this.#stops(backEnd, event.index);
    },
    vring_kick_fd: (event) => {
      const backEnd = this.#of(event);
      if (!event.errno && event.interface === 'user') this.#runs(backEnd, event.index);
    },
    vring_base_read: (event) => {
      const backEnd = this.#of(event);
      if (!event.errno && !event.shadow && event.interface === 'user') this.#stops(backEnd, event.index);
    },
    vring_stop: (event) => {
      if (!event.begin) this.#stops(this.#of(event), event.index);
    },
    vhost_dev_stop: (event) => {
      if (!event.begin) this.#stopAll(this.#of(event));
    },
    vhost_logging: (event) => {
      const backEnd = this.#of(event);
      if (event.on && !backEnd.state.anyGate) backEnd.begin();
    },
    migration_status: (event) => this.#status(event),
    vhost_write: (event) => this.#write(this.#backEnd(event.device), event),
    vhost_page_change: (event) => this.#change(this.#of(event), event),
    vhost_log_read: (event) => this.#read(this.#of(event), event),
    vhost_log_overrun: (event) => takeOverrun(this.#laws, this.#of(event), event),
    end: () => {
      for (const backEnd of this.#backEnds.values()) {
        if (backEnd.suspect !== undefined) this.#settleSuspect(backEnd, undefined);
        tellEarly(this.#laws, backEnd);
      }
    },
  };

  /** A change of a switch of the log: from all off to one on, logging begins. */
  #switching(backEnd: BackEnd, change: () => void): void {
    const before = backEnd.state.anyGate;
    change();
    if (!before && backEnd.state.anyGate) backEnd.begin();
  }

  #logBase(backEnd: BackEnd, event: EventOf<'vhost_log_base'>): void {
    if (event.errno) return;
    const { state, readings } = backEnd;
    const replaced = state.log !== 'none';
    state.log = event.none ? 'none' : 'given';
    state.logBytes = event.size === undefined ? undefined : Number(event.size);
    if (!state.anyGate) backEnd.begin();
    else if (replaced) {
      readings.epoch++;
      readings.readsSinceSwap = 0;
      readings.firstFound = Infinity;
    }
    this.#size(backEnd, event);
  }

  #runs(backEnd: BackEnd, index: number): void {
    backEnd.state.runs(index);
    backEnd.state.ring(index).usedEnd = undefined;
    backEnd.quiet = undefined;
  }

  #stops(backEnd: BackEnd, index: number): void {
    backEnd.stops = true;
    backEnd.state.running.delete(index);
    this.#stopped(backEnd);
  }

  #stopAll(backEnd: BackEnd): void {
    backEnd.stops = true;
    backEnd.state.running.clear();
    this.#stopped(backEnd);
  }

  #stopped(backEnd: BackEnd): void {
    if (backEnd.state.isStopped) backEnd.quiet ??= { seen: new Set(), reads: 0, final: false };
  }

  /** The log covers memory and used rings, whenever it is in use. */
  #size(backEnd: BackEnd, event: TraceEvent): void {
    const { log, logBytes, anyGate, pagesNeeded } = backEnd.state;
    if (log !== 'given' || logBytes === undefined || !anyGate || !pagesNeeded) return;
    this.#laws.check('log_size');
    const said = `${logBytes} ${pagesNeeded}`;
    if (logBytes * 8 >= pagesNeeded || backEnd.saidSize === said) return;
    backEnd.saidSize = said;
    const message = `the log has ${logBytes} bytes, and memory goes to ${pageWords(pagesNeeded - 1)}`;
    this.#laws.fail('log_size', event, backEnd, message, [`at least ${Math.ceil(pagesNeeded / 8)} bytes`]);
  }

  #status(event: EventOf<'migration_status'>): void {
    const { status } = event;
    for (const backEnd of this.#backEnds.values()) {
      const { state } = backEnd;
      if (status === 'setup' && NOT_DONE.has(this.#last) && this.host.vmRunning !== false) {
        this.#laws.check('gates_left');
        if (state.anyGate && state.via !== 'vdpa')
          this.#laws.fail(
            'gates_left',
            event,
            backEnd,
            `the last migration is over, and still on: ${state.gatesOn.join(', ')}`,
          );
      }
      if (status !== 'completed' || !backEnd.harvested || !state.anyGate || backEnd.quiet === undefined)
        continue;
      this.#laws.check('not_collected');
      if (backEnd.quiet.reads === 0)
        this.#laws.fail(
          'not_collected',
          event,
          backEnd,
          'the log was not read after the last ring had stopped',
        );
    }
    this.#last = status;
  }
  #last = '';

  #write(backEnd: BackEnd, event: EventOf<'vhost_write'>): void {
    const { state } = backEnd;
    if (state.via === 'vdpa' || event.length === 0) return;
    backEnd.tellsWrites = true;
    const { index, what, address, length } = event;
    const { first, last } = pagesOf(address, length);
    this.#remember(first, last);
    if (index !== undefined) this.#idle(backEnd, event, index);
    const wrapped = index !== undefined && this.#wraps(backEnd, event, index);
    const gate = state.gateOf(what, index);
    if (gate === undefined) return;
    const unlogged = this.#unlogged(backEnd, gate);
    if (unlogged === null) return;
    const { epoch } = backEnd.readings;
    const serial = ++backEnd.serial;
    const write: Write = {
      what,
      index,
      address,
      length,
      first,
      last,
      serial,
      epoch,
      logAll: state.logAll,
      flag: state.flagOf(index),
      unlogged,
      wrapped,
      twin: undefined,
      found: false,
    };
    const { lastWrite } = backEnd;
    if (state.iotlb && lastWrite && areTwins(lastWrite, write)) {
      // All of them know the first one, so that no chain of them is kept.
      write.twin = lastWrite.twin ?? lastWrite;
      lastWrite.twin ??= write;
    }
    backEnd.lastWrite = write;
    backEnd.waiting.add(write);
    this.#try(backEnd, write);
  }

  /** Why a write is not expected in the log; null: nothing can be said about it. */
  #unlogged(backEnd: BackEnd, gate: boolean): Write['unlogged'] | null {
    const { state, harvested } = backEnd;
    const underWay = this.#isUnderWay(backEnd);
    if (!gate) return underWay && (state.anyGate || harvested) ? 'ungated' : null;
    if (state.log === 'given' || (state.log === undefined && harvested)) return undefined;
    return state.log === 'none' && underWay ? 'no_log' : null;
  }

  /** Before the first reading of a migration all memory is to be sent anyway. */
  #isUnderWay({ harvested }: BackEnd): boolean {
    return harvested || MIGRATING.has(this.host.status ?? '');
  }

  #remember(first: number, last: number): void {
    if (this.#written === null) return;
    if (this.#written.size + (last - first) >= MAX_PAGES) this.#written = null;
    else for (let page = first; page <= last; page++) this.#written.add(page);
  }

  #idle(backEnd: BackEnd, event: EventOf<'vhost_write'>, index: number): void {
    const { via, ran, running } = backEnd.state;
    if (via !== 'kernel' || !ran.has(index)) return;
    this.#laws.check('idle_write');
    if (!running.has(index)) backEnd.suspect ??= event;
  }

  /** Whether used elements go on at the beginning of the ring, in the run that came to its end. */
  #wraps(backEnd: BackEnd, { what, address, length }: EventOf<'vhost_write'>, index: number): boolean {
    const ring = backEnd.state.rings.get(index);
    if (ring?.num === undefined || ring.logGuestAddr === undefined) return false;
    const offset = Number(address) - Number(ring.logGuestAddr);
    if (!Number.isSafeInteger(offset)) return false;
    const wrapped = what === 'used' && offset === USED.ring && ring.usedEnd === USED.event(ring.num);
    if (what === 'used') ring.usedEnd = offset + length;
    else if (what === 'used_idx') ring.usedEnd = undefined;
    return wrapped;
  }

  #try(backEnd: BackEnd, write: Write): void {
    const { tried, readings } = backEnd;
    if (this.#isUnderWay(backEnd)) for (const law of UNDER_WAY) tried.add(law);
    if (write.unlogged) return;
    tried.add(lawOfMiss(write, write.first, readings, false));
    if (write.first !== write.last) {
      tried.add('partly');
      tried.add('crossing');
    }
    if (write.twin) tried.add('alias');
    if (readings.epoch > 0) tried.add('new_log');
  }

  /** Pages that have changed, with nobody seen to write them. */
  #change(backEnd: BackEnd, event: EventOf<'vhost_page_change'>): void {
    const { state, sinceLook } = backEnd;
    backEnd.sinceLook = [];
    if (state.via === 'vdpa' || !state.allGates || state.log !== 'given' || sinceLook === null) return;
    const read = inRuns(sinceLook.flat());
    const { epoch } = backEnd.readings;
    const serial = ++backEnd.serial;
    let looks = 0;
    for (const [start, count] of event.pages)
      for (let page = start; page < start + count && looks < MAX_LOOKS; page++, looks++) {
        if (read(page)) continue;
        backEnd.waiting.add({
          what: 'unknown',
          index: undefined,
          address: page * VHOST_LOG_PAGE,
          length: VHOST_LOG_PAGE,
          first: page,
          last: page,
          serial,
          epoch,
          logAll: true,
          flag: true,
          unlogged: undefined,
          wrapped: false,
          twin: undefined,
          found: false,
        });
        backEnd.tried.add('changed');
      }
  }

  #read(backEnd: BackEnd, event: EventOf<'vhost_log_read'>): void {
    const { pages } = event;
    backEnd.harvested = true;
    // Whoever tells of writes also tells of bits that no log has room for.
    if (backEnd.tellsWrites && backEnd.state.log === 'given') this.#laws.check('overrun', 'short_log');
    backEnd.readings.readsSinceSwap++;
    if (backEnd.sinceLook && backEnd.sinceLook.push(pages) > MAX_READINGS) backEnd.sinceLook = null;
    const all = [...this.#backEnds.values()];
    for (const { quiet } of all) if (quiet) quiet.reads++;
    takeLate(this.#laws, all, backEnd, event);
    takeExtra(this.#laws, all, this.#written, backEnd, event);
    // Back ends of a host may share a log, and whose bit it is cannot be seen.
    for (const each of all) {
      const { readings } = each;
      each.waiting.harvest(pages, (write) => {
        write.found = true;
        if (write.unlogged) return;
        readings.marked.add(`${write.index} ${write.what}`);
        if (write.epoch === readings.epoch) readings.firstFound = Math.min(readings.firstFound, write.serial);
      });
    }
    if (event.final) takeFinal(this.#laws, backEnd, event);
  }
}

const BOOKS = new WeakMap<HostView, LogBook>();

/**
 * Has a rule hear of all that breaks a law on a host. The bookkeeping is shared by the rules of a host: the watch of
 * the first one does it, the others watch nothing.
 */
export function watchLaw(host: HostView, law: Law, scope: Scope): Watch {
  const known = BOOKS.get(host);
  const book = known ?? new LogBook(host);
  book.listen(law, scope);
  if (known) return {};
  BOOKS.set(host, book);
  return book.watch;
}

/** Kinds of event without which nothing can be said about pages that were written. */
export const MEMORY_NEEDS: readonly EventKind[] = ['vhost_write', 'vhost_log_read'];
