import type { TraceEvent } from 'stopcopy/trace';
import { DeviceError, type VhostInterface } from 'stopcopy/uapi';
import type { NetFault, RigProblemKind } from './fault.js';
import type { RigGuestCounts } from './rig-guest.js';
import { runLogRig } from './rig-log.js';
import { drawPlan, type RigPlan } from './rig-plan.js';
import { RigRandom } from './rig-random.js';
import { runVdpaRig } from './rig-vdpa.js';
import type { NetWireCounts } from './wire.js';

/** Something that the rig found wrong, in words. */
export interface RigProblem {
  readonly kind: RigProblemKind;
  readonly text: string;
}

/** What a run of the rig is made from; the same seed gives the same run. */
export interface RigOptions {
  readonly seed: number;
  readonly face: VhostInterface;
  readonly fault?: NetFault;
}

/** A run of the rig: its plan, what happened, and what was wrong. */
export interface RigResult {
  readonly plan: RigPlan;
  readonly events: readonly TraceEvent[];
  readonly problems: readonly RigProblem[];
  readonly guest: RigGuestCounts;
  readonly wire: NetWireCounts;
}

/** What a run of a rig is made with. */
export interface RigRun {
  readonly plan: RigPlan;
  readonly random: RigRandom;
  readonly seed: number;
  readonly fault: NetFault | undefined;
  emit(event: TraceEvent): void;
  problem(kind: RigProblemKind, text: string): void;
}

/**
 * One run of a back end with a guest and a VMM, all of it drawn from a seed: ring sizes, features, places in memory,
 * traffic, and when the log, its base, memory and the device are switched; in the end a migration to a second back
 * end. The same seed gives the same run.
 */
export async function runNetRig({ seed, face, fault }: RigOptions): Promise<RigResult> {
  const random = new RigRandom(seed, face.charCodeAt(0), 0x72696721);
  const plan = drawPlan(random, face, fault?.needs);
  const events: TraceEvent[] = [];
  const problems: RigProblem[] = [];
  const run: RigRun = {
    plan,
    random,
    seed,
    fault,
    emit: (event) => events.push(event),
    problem: (kind, text) => problems.push({ kind, text }),
  };
  const rig = face === 'vdpa' ? runVdpaRig : runLogRig;
  try {
    const { guest, wire } = await rig(run);
    return { plan, events, problems, guest, wire };
  } catch (error) {
    // A device with a fault may refuse what is legal, or leave a ring that no driver can go on with.
    if (error instanceof DeviceError) run.problem('request', error.message);
    else if (error instanceof RangeError) run.problem('ring', error.message);
    else throw error;
    const none = { received: 0, sent: 0, corrupted: 0, alien: 0, refused: 0, commands: 0, calls: 0 };
    return {
      plan,
      events,
      problems,
      guest: none,
      wire: { taken: 0, dropped: 0, alien: 0, corrupted: 0, announcements: 0 },
    };
  }
}
