import { setImmediate } from 'node:timers/promises';
import { type Linux, LinuxError, loadLinux } from '../../linux/index.js';
import type { KvmHost } from '../../machines/kvm-dirty-calls.js';
import type { TraceEvent } from '../../trace/event.js';
import { DeviceError } from '../../uapi/device.js';
import { errnoName } from '../../uapi/errno.js';
import { KVM_DIRTY_RING_ENTRIES, KVM_PAGE, PML_ENTRIES } from '../../uapi/kvm.js';
import { KVM_EXIT } from '../../uapi/kvm-vm.js';
import { TargetError } from '../target.js';
import { KvmAgreementRun, type KvmDifference } from './agreement.js';
import { Draw } from './draw.js';
import { KvmEvents } from './events.js';
import { firstSteps, KVM_LOG_MODES, type KvmLogMode, type KvmStep, nextStep } from './sequence.js';
import { KVM_FILE, KvmVm } from './vm.js';

export interface KvmDirtyLogOptions {
  /** What the sequences are drawn by; the default is 1. */
  readonly seed?: number;
  /** How many, each on a VM of its own; the default is 1000. */
  readonly sequences?: number;
  /** Hears of every call and of what the guest wrote, as canonical events; each VM is a device. */
  emit?(event: TraceEvent): void;
  /** No sequence begins after it. */
  readonly signal?: AbortSignal;
}

/** A sequence in which the kernel did otherwise than the model. */
export interface KvmDisagreementReport extends KvmDifference {
  /** Number of the sequence, from 0. */
  readonly sequence: number;
  readonly mode: KvmLogMode;
  /** All steps up to the one that shows it. */
  readonly steps: readonly KvmStep[];
}

export interface KvmDirtyLogResult {
  /** What this host offers; null when nothing could be run. */
  readonly host: KvmHost | null;
  /** Why nothing could be run: one line for people. */
  readonly skipped: string | null;
  readonly sequences: number;
  readonly byMode: Readonly<Record<KvmLogMode, number>>;
  /** Steps of all sequences: calls of KVM, runs of the guest, and harvests. */
  readonly steps: number;
  /** Calls that failed, by the name of the errno. */
  readonly refused: Readonly<Record<string, number>>;
  /** Pages that the guest has written, counted once a run. */
  readonly written: number;
  /** Runs that a full ring kept from the guest. */
  readonly ringFull: number;
  /** Pages in bitmaps that nobody has written since they were last cleared, which is allowed. */
  readonly unexplained: number;
  /** Entries of rings for pages that had one, or that nobody has written since, which is allowed. */
  readonly repeated: number;
  readonly disagreements: readonly KvmDisagreementReport[];
}

/** Steps of a sequence behind those that set it up. */
const STEPS = { least: 10, most: 40 } as const;
/** A kernel that does everything otherwise is told often enough. */
const MOST_DISAGREEMENTS = 20;

/**
 * Holds the dirty log of this host's KVM against the machines of `machines/kvm-*`: random sequences of calls, good
 * and bad ones, and of writes of a guest, each on a new VM, half of them with a clear mistake somewhere. Compared are
 * every errno, every bitmap, every entry of a ring and every count of a reset.
 * @returns also when there is no KVM here that can run a guest: then `skipped` says why
 */
export async function runKvmDirtyLog(options: KvmDirtyLogOptions = {}): Promise<KvmDirtyLogResult> {
  const { seed = 1, sequences = 1000, emit = () => {}, signal } = options;
  const tally = new Tally();
  try {
    const linux = await loadLinux();
    const host = examineHost(linux);
    tally.host = host;
    for (let sequence = 0; sequence < sequences && !signal?.aborted; sequence++) {
      const mode = KVM_LOG_MODES[sequence % KVM_LOG_MODES.length]!;
      playSequence(linux, host, { sequence, mode, draw: new Draw(seed * 1_000_003 + sequence) }, emit, tally);
      if (tally.disagreements.length >= MOST_DISAGREEMENTS) break;
      // Others have a turn.
      await setImmediate();
    }
  } catch (error) {
    if (!(error instanceof TargetError) && !(error instanceof LinuxError)) throw error;
    tally.skipped = error.message;
  }
  return tally;
}

class Tally {
  host: KvmHost | null = null;
  skipped: string | null = null;
  sequences = 0;
  byMode: Record<KvmLogMode, number> = { auto: 0, manual: 0, initially_set: 0, ring: 0 };
  steps = 0;
  refused: Record<string, number> = {};
  written = 0;
  ringFull = 0;
  unexplained = 0;
  repeated = 0;
  disagreements: KvmDisagreementReport[] = [];
}

interface Sequence {
  readonly sequence: number;
  readonly mode: KvmLogMode;
  readonly draw: Draw;
}

function playSequence(
  linux: Linux,
  host: KvmHost,
  { sequence, mode, draw }: Sequence,
  emit: (event: TraceEvent) => void,
  tally: Tally,
): void {
  const vm = KvmVm.open(linux);
  const count = (event: TraceEvent) => {
    if ('errno' in event && event.errno !== undefined && event.errno !== 0) {
      const name = errnoName(event.errno);
      tally.refused[name] = (tally.refused[name] ?? 0) + 1;
    }
    emit(event);
  };
  try {
    const run = new KvmAgreementRun(vm, host, new KvmEvents(`vm-${sequence}`, count));
    const at = {
      mode,
      lazy: mode === 'ring' && draw.once(2),
      slots: run.slots,
      userAddress: (gpa: number) => vm.userAddress(gpa),
      get vcpus() {
        return vm.vcpus;
      },
    };
    const played: KvmStep[] = [];
    const play = (step: KvmStep): boolean => {
      played.push(step);
      const { differences, unexplained, repeated, written, ringFull } = run.step(step);
      tally.steps++;
      tally.unexplained += unexplained;
      tally.repeated += repeated;
      tally.written += written;
      if (ringFull) tally.ringFull++;
      for (const each of differences)
        tally.disagreements.push({ ...each, sequence, mode, steps: [...played] });
      return differences.length === 0;
    };
    const smallestRing = 2 ** Math.ceil(Math.log2(Math.max(host.reserved * 16, KVM_PAGE)));
    const total = STEPS.least + draw.below(STEPS.most - STEPS.least);
    // After a difference the model is no measure any more.
    if (firstSteps(draw, mode, smallestRing, at).every(play))
      for (let step = 0; step < total && play(nextStep(draw, at)); step++);
    tally.sequences++;
    tally.byMode[mode]++;
  } finally {
    vm.close();
  }
}

/**
 * Looks what this host offers, and whether its KVM runs a guest at all: nested virtualisation may be there and not work.
 * @throws TargetError when it does not
 */
export function examineHost(linux: Linux): KvmHost {
  const vm = KvmVm.open(linux);
  try {
    const { slots, addressSpaces } = vm.limits();
    const ringWithBitmap = vm.check('dirty_ring_with_bitmap') !== 0;
    const reserved = reservedEntries(vm);
    const page = 0x10;
    vm.setSlot({ slot: 0, gpa: page * KVM_PAGE, size: KVM_PAGE, log: false });
    const { exits, written } = vm.touch(vm.createVcpu(), 'write', [page], 0);
    const { reason, errno = 0, detail } = exits.at(-1)!;
    if (reason !== KVM_EXIT.HLT || written.length !== 1) {
      const name = Object.entries(KVM_EXIT).find(([, value]) => value === reason)?.[0];
      const how = reason === undefined ? errnoName(errno) : `exit ${name ?? reason}`;
      const why = detail === undefined ? '' : ` (${detail})`;
      throw new TargetError(
        `${KVM_FILE}: this host's KVM cannot run a guest: a few instructions of real mode end with ${how}${why}, and ${written.length} of 1 pages are written`,
      );
    }
    return { slots, addressSpaces, ringWithBitmap, reserved };
  } finally {
    vm.close();
  }
}

/** Entries of a ring that are kept free: with a page-modification log its entries too, and the smallest ring tells. */
function reservedEntries(vm: KvmVm): number {
  const { reserved } = KVM_DIRTY_RING_ENTRIES;
  try {
    vm.enableCap('dirty_ring', KVM_PAGE);
    return reserved;
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    return reserved + PML_ENTRIES;
  }
}
