import { inSavingGroup } from '../machines/vfio-arcs.js';
import type { EventOf } from '../trace/event.js';
import { ERRNO } from '../uapi/errno.js';
import type { Watch } from './rule.js';

/** The end of a RESUMING session: how many bytes it had taken, and the event that ended it. */
export interface Load {
  readonly bytes: number;
  readonly event: EventOf<'set_state_result'> | EventOf<'data_write'>;
}

/** What a save gave from its beginning to its permanent end. */
export interface Save {
  readonly bytes: number;
  /** Those of them that were read in STOP_COPY. No state is whole without them; what was read before may be preliminary. */
  readonly final: number;
}

type Session =
  | { kind: 'save'; bytes: number; final: number; stopCopy: boolean }
  | { kind: 'load'; bytes: number };

/** What became of the sessions of one device of one host. Of several the smallest counts, so nobody is accused in error. */
interface Ends {
  /** A save was read to its permanent end. */
  saved?: Save;
  /** RESUMING was left with success. */
  left?: Load;
  /** A write was refused, or leaving RESUMING failed. */
  refused?: Load;
}

/** Errors of write() after which the caller tries once more. */
const ONCE_MORE = new Set(['EAGAIN', 'EINTR'].map((name) => -ERRNO[name]!));

/** Follows the data of devices from one host to another. */
export class Transfers {
  readonly #open = new Map<string, Session>();
  /** By host, then by device. */
  readonly #ends = new Map<string, Map<string, Ends>>();
  /** Hosts whose device data went over multifd channels, where no event shows it. */
  readonly #hidden = new Set<string>();

  readonly watch: Watch = {
    device_open: ({ host, device }) => void this.#open.delete(key(host, device)),
    reset: ({ host, device }) => void this.#open.delete(key(host, device)),
    save_complete_start: ({ host, multifd }) => {
      if (multifd) this.#hidden.add(host);
    },
    load_thread_start: ({ host }) => void this.#hidden.add(host),
    set_state_result: (event) => this.#moved(event),
    data_read: ({ host, device, size, result }) => {
      const session = this.#open.get(key(host, device));
      if (session?.kind !== 'save') return;
      if (result > 0) session.bytes += result;
      if (result > 0 && session.stopCopy) session.final += result;
      if (result === 0 && size !== 0 && session.stopCopy) this.#saved(host, device, session);
    },
    data_write: (event) => {
      const session = this.#open.get(key(event.host, event.device));
      if (session?.kind !== 'load') return;
      if (event.result > 0) session.bytes += event.result;
      else if (event.result < 0 && !ONCE_MORE.has(event.result)) this.#end('refused', session, event);
    },
  };

  /**
   * The loads that ended so, each with what its source gave. Only when sessions were seen on just
   * two hosts, and the device has one name on both, or is the only one of each.
   */
  matched(how: 'left' | 'refused'): { given: Save; load: Load }[] {
    const hosts = [...this.#ends];
    if (hosts.length !== 2 || hosts.some(([host]) => this.#hidden.has(host))) return [];
    return hosts.flatMap(([, devices], at) => {
      const others = hosts[1 - at]![1];
      const alone = devices.size === 1 && others.size === 1;
      return [...devices].flatMap(([name, ends]) => {
        const load = ends[how];
        const given = (others.get(name) ?? (alone ? [...others.values()][0] : undefined))?.saved;
        return load === undefined || given === undefined ? [] : [{ given, load }];
      });
    });
  }

  #moved(event: EventOf<'set_state_result'>): void {
    const { host, device, state, errno } = event;
    const at = key(host, device);
    const session = this.#open.get(at);
    if (state === undefined) return;
    if (errno && session?.kind === 'load') this.#end('refused', session, event);
    if (inSavingGroup(state)) {
      if (session?.kind === 'save') session.stopCopy = state === 'STOP_COPY';
      else this.#open.set(at, { kind: 'save', bytes: 0, final: 0, stopCopy: state === 'STOP_COPY' });
    } else if (state === 'RESUMING') {
      if (session?.kind !== 'load') this.#open.set(at, { kind: 'load', bytes: 0 });
    } else {
      if (session?.kind === 'load' && errno === 0) this.#end('left', session, event);
      this.#open.delete(at);
    }
  }

  #end(how: 'left' | 'refused', session: Session, event: Load['event']): void {
    const ends = this.#endsOf(event.host, event.device);
    const known = ends[how];
    if (known === undefined || session.bytes < known.bytes) ends[how] = { bytes: session.bytes, event };
  }

  #saved(host: string, device: string, { bytes, final }: Save): void {
    const ends = this.#endsOf(host, device);
    const { saved } = ends;
    ends.saved = saved
      ? { bytes: Math.min(bytes, saved.bytes), final: Math.min(final, saved.final) }
      : { bytes, final };
  }

  #endsOf(host: string, device: string): Ends {
    const devices = this.#ends.get(host) ?? new Map<string, Ends>();
    const ends = devices.get(device) ?? {};
    this.#ends.set(host, devices.set(device, ends));
    return ends;
  }
}

const key = (host: string, device: string): string => `${host}\0${device}`;
