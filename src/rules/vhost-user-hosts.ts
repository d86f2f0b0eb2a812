import type { EventOf, TraceEvent } from '../trace/event.js';
import { VHOST_FEATURES } from '../uapi/vhost.js';
import { hasFeature } from '../uapi/virtio.js';
import type { Rule, Scope } from './rule.js';
import { backEnd, FEATURES } from './vhost-user-example.js';
import { ofVhostUser } from './vhost-user-facts.js';

const source = backEnd('source');
const destination = backEnd('destination');

/** Where a ring of the source was stopped at last, and how sure it is that this was for the switchover. */
interface Stopped {
  readonly base: number;
  readonly t: number | undefined;
  readonly logging: boolean;
  readonly vmStopped: boolean;
}

/** One vhost-user device of one host. */
interface Device {
  readonly host: string;
  readonly device: string;
  logging: boolean;
  /** It has given its state, or loaded it. */
  saved: { readonly t: number | undefined } | undefined;
  loaded: boolean;
  readonly stopped: Map<number, Stopped>;
  /** The first SET_VRING_BASE of each ring. */
  readonly first: Map<number, EventOf<'vring_base'>>;
}

/** Microseconds between the stop of the rings and the transfer of the state of the same switchover. */
const SWITCHOVER = 2_000_000;
/** Bases of rings that a driver has just set up: a split one, a packed one. */
const FRESH: readonly number[] = [0, 0x8000_8000];

/** What the hosts of a trace say about their vhost-user devices. */
class Hosts {
  readonly #devices = new Map<string, Map<string, Device>>();
  readonly #running = new Map<string, boolean>();

  ran(host: string, running: boolean): void {
    this.#running.set(host, running);
  }

  of({ host, device }: { host: string; device: string }): Device {
    const devices = this.#devices.get(host) ?? new Map<string, Device>();
    this.#devices.set(host, devices);
    let known = devices.get(device);
    if (!known) {
      known = {
        host,
        device,
        logging: false,
        saved: undefined,
        loaded: false,
        stopped: new Map(),
        first: new Map(),
      };
      devices.set(device, known);
    }
    return known;
  }

  stop(event: EventOf<'vring_base_read'>): void {
    if (event.errno || event.num === undefined) return;
    const device = this.of(event);
    device.stopped.set(event.index, {
      base: event.num,
      t: event.t,
      logging: device.logging,
      vmStopped: this.#running.get(event.host) === false,
    });
  }

  /** Each device of a source with the one that took its place: of the same name, or the only one of its host. */
  pairs(): [from: Device, to: Device][] {
    const hosts = [...this.#devices.values()];
    if (hosts.length !== 2) return [];
    const [one, other] = hosts as [Map<string, Device>, Map<string, Device>];
    const pairs: [Device, Device][] =
      one.size === 1 && other.size === 1
        ? [[[...one.values()][0]!, [...other.values()][0]!]]
        : [...one.values()].flatMap((each) => {
            const same = other.get(each.device);
            return same ? [[each, same] as [Device, Device]] : [];
          });
    return pairs.flatMap(([a, b]) => {
      const [forth, back] = [leadsTo(a, b), leadsTo(b, a)];
      if (forth === back) return [];
      return [forth ? [a, b] : [b, a]];
    });
  }
}

/** Whether the trace says that the VM went from one device to the other. */
function leadsTo(from: Device, to: Device): boolean {
  if (from.loaded || to.saved) return false;
  return from.saved !== undefined || [...from.stopped.values()].some(({ logging }) => logging);
}

/** Whether a ring was surely stopped for the switchover, and not by the guest before it. */
function atSwitchover(ring: Stopped, { saved }: Device): boolean {
  if (ring.vmStopped) return true;
  return (
    saved !== undefined && (saved.t === undefined || ring.t === undefined || saved.t - ring.t < SWITCHOVER)
  );
}

function compare([from, to]: [Device, Device], scope: Scope): void {
  for (const [index, ring] of from.stopped) {
    const set = to.first.get(index);
    if (set?.num === undefined) continue;
    const sure = atSwitchover(ring, from);
    // A driver that was set up anew begins anew.
    if (!sure && (!ring.logging || FRESH.includes(set.num))) continue;
    scope.check();
    if (set.num !== ring.base)
      scope.fail(
        set,
        `ring ${index} stopped at ${ring.base} on ${from.host}, and goes on at ${set.num} on ${to.host}`,
        [`${ring.base}`],
      );
  }
}

const user =
  <E extends TraceEvent>(take: (event: E) => void) =>
  (event: E): void => {
    if (ofVhostUser(event)) take(event);
  };

const migration = (base: number): TraceEvent[] => [
  ...source.started(),
  source.log(),
  source.features(FEATURES),
  source.kick(),
  source.stop(0, 353),
  source.stateFd('save'),
  source.stateEnd(),
  source.check(),
  ...destination.offer(),
  destination.stateFd('load'),
  destination.stateEnd(),
  destination.check(),
  destination.table(),
  ...destination.ring(0, { from: base }),
];

/** The one rule that needs both hosts. */
export const BASES_ACROSS_HOSTS: Rule = {
  id: 'VHOST-USR-84',
  title: 'rings go on where they stopped',
  party: 'vmm',
  level: 'must',
  clause: 'vhost-user/ring-setup',
  about:
    'SET_VRING_BASE on the destination is what GET_VRING_BASE has returned on the source. Devices are matched by name, or when each host has one. A ring that the guest may have set up anew in between is not judged.',
  causes:
    'The index of the ring in guest memory is taken instead, or that of another ring; or the base is not migrated.',
  needs: ['vring_base', 'vring_base_read'],
  trace: (scope) => {
    const hosts = new Hosts();
    return {
      vm_state: ({ host, running }) => hosts.ran(host, running),
      vhost_set_features: user((event) => {
        if (!event.errno && event.features !== undefined)
          hosts.of(event).logging = hasFeature(BigInt(event.features), VHOST_FEATURES.LOG_ALL);
      }),
      vhost_state_fd: user((event) => {
        if (event.errno) return;
        const device = hosts.of(event);
        if (event.direction === 'save') device.saved = { t: event.t };
        if (event.direction === 'load') device.loaded = true;
      }),
      vring_base_read: user((event) => hosts.stop(event)),
      vring_base: user((event) => {
        const { first } = hosts.of(event);
        if (!event.errno && !first.has(event.index)) first.set(event.index, event);
      }),
      // What runs again has not been migrated away.
      vring_kick_fd: user((event) => {
        hosts.of(event).stopped.delete(event.index);
      }),
      end: () => {
        for (const pair of hosts.pairs()) compare(pair, scope);
      },
    };
  },
  conformant: migration(353),
  violating: migration(352),
};
