import type { TraceEvent } from 'stopcopy/trace';
import type { VhostBackend } from 'stopcopy/uapi';
import { recordedBackend } from 'stopcopy/vhost';
import type { NetBackEnd, NetBackEndOptions } from './back-end.js';
import { CONDUCT } from './conduct.js';
import { conductWith } from './faults.js';
import { KernelFace } from './kernel-face.js';
import type { Observer } from './log.js';
import type { RigRun } from './rig.js';
import { RigGuest } from './rig-guest.js';
import type { RigMemory } from './rig-memory.js';
import { planFeatures } from './rig-plan.js';
import { UserFace } from './user-face.js';
import { VdpaFace } from './vdpa-face.js';
import { NetFrames, NetWire } from './wire.js';

/** The MAC of the guest. */
export const RIG_MAC: Uint8Array = Uint8Array.of(0x52, 0x54, 0x00, 0x72, 0x69, 0x67);
const DEVICE = 'net0';

type WithoutPlace<T> = T extends unknown ? Omit<T, 'host' | 'device'> : never;
/** An event of the rig's device, without saying where. */
export type RigEvent = WithoutPlace<Extract<TraceEvent, { device: string }>>;

/** One host of a run: a back end, and what is told of it. */
export interface RigSide {
  readonly host: string;
  readonly backEnd: NetBackEnd;
  /** The same, with its requests told. */
  readonly backend: VhostBackend;
  tell(event: RigEvent): void;
}

/** A back end with what is told of it. */
export function makeSide({ plan, seed, fault, emit }: RigRun, host: string, wire: NetWire): RigSide {
  const tell = (event: RigEvent): void => emit({ ...event, host, device: DEVICE } as TraceEvent);
  const observe: Observer = {
    write: (write) => tell({ kind: 'vhost_write', ...write }),
    overrun: (page) => tell({ kind: 'vhost_log_overrun', page }),
    progress: (index, avail, used) => tell({ kind: 'vring_progress', index, avail, used }),
  };
  const options: NetBackEndOptions = {
    name: DEVICE,
    seed,
    queuePairs: plan.queuePairs,
    mac: RIG_MAC,
    port: wire,
    pace: { burst: plan.burst, inFlight: plan.inFlight },
    logCache: plan.logCache,
    observe,
    deferred: true,
    conduct: fault === undefined ? CONDUCT : conductWith(fault),
  };
  const Face = { kernel: KernelFace, user: UserFace, vdpa: VdpaFace }[plan.face];
  const backEnd: NetBackEnd = new Face(options);
  tell({ kind: 'vhost_open', interface: plan.face });
  const recorded = recordedBackend(backEnd, { host, emit });
  const progress = (index: number) => {
    const { taken, returned } = backEnd.rings[index]!.counts;
    tell({ kind: 'vring_progress', index, avail: taken, used: returned });
  };
  const backend = toldAfter(recorded, {
    suspend: () => {
      for (const index of plan.sizes.keys()) progress(index);
    },
    getVringBase: (index) => plan.face === 'user' && progress(index as number),
  });
  return { host, backEnd, tell, backend };
}

/** The same back end; after some of its requests something else is told. */
function toldAfter(
  backend: VhostBackend,
  after: { readonly [K in keyof VhostBackend]?: (...of: readonly unknown[]) => unknown },
): VhostBackend {
  return new Proxy(backend, {
    get: (target, key: keyof VhostBackend) => {
      const value = target[key];
      if (typeof value !== 'function') return value;
      const call = value.bind(target) as (...of: readonly unknown[]) => unknown;
      const then = after[key];
      if (then === undefined) return call;
      return async (...of: readonly unknown[]) => {
        const result = await call(...of);
        then(...of);
        return result;
      };
    },
  });
}

/** The cable of a run, and its guest. */
export function makeGuest(
  { plan, random, seed }: RigRun,
  memory: RigMemory,
  kick: (index: number) => void,
): { readonly wire: NetWire; readonly guest: RigGuest } {
  const most = { toGuest: plan.mostToGuest, fromGuest: plan.mostFromGuest };
  const frames = { seed, mac: RIG_MAC, most };
  const { queuePairs, packed, eventIdx, indirect, mergeable, sizes, iova } = plan;
  const guest = new RigGuest({
    random,
    memory,
    frames: new NetFrames(frames),
    queuePairs,
    control: plan.face === 'vdpa',
    ...{ packed, eventIdx, indirect, mergeable, sizes },
    starts: plan.starts,
    splitsUsed: plan.splitsUsed,
    header: planFeatures(plan) === 0n ? 10 : 12,
    mostToGuest: plan.mostToGuest,
    mostFromGuest: plan.mostFromGuest,
    iova: plan.face === 'vdpa' ? 0 : (iova ?? 0),
    kick,
  });
  return { wire: new NetWire(frames), guest };
}

/** What became of all frames, once nothing moves any more. */
export function checkFrames(run: RigRun, guest: RigGuest, wire: NetWire, isLossy: boolean): void {
  const { counts } = guest;
  const say = (text: string) => run.problem('frames', text);
  if (counts.corrupted + counts.alien > 0)
    say(`of what the guest got ${counts.corrupted} were changed, ${counts.alien} of nobody`);
  if (wire.counts.corrupted + wire.counts.alien > 0)
    say(`of what the wire got ${wire.counts.corrupted} were changed, ${wire.counts.alien} of nobody`);
  // Where the guest's MAC was seen last is where its frames go, so over several queues they may overtake each other.
  const isOrdered = run.plan.queuePairs === 1;
  const flows = [...guest.flows.values(), ...wire.fromGuest.values()];
  const doubled = flows.reduce(
    (sum, { duplicated, reordered }) => sum + duplicated + (isOrdered ? reordered : 0),
    0,
  );
  if (doubled > 0) say(`${doubled} frames came twice or late`);
  if (counts.received !== wire.counts.taken)
    say(`the device took ${wire.counts.taken} frames, and the guest got ${counts.received}`);
  const out = [...wire.fromGuest.values()].reduce((sum, { seen }) => sum + seen, 0);
  if (!isLossy && out !== counts.sent) say(`the guest sent ${counts.sent} frames, and ${out} came out`);
}

/** Pages in runs, as events carry them. */
export function runsOfPages(pages: Iterable<number>): [number, number][] {
  const runs: [number, number][] = [];
  for (const page of [...new Set(pages)].toSorted((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && last[0] + last[1] === page) last[1]++;
    else runs.push([page, 1]);
  }
  return runs;
}
