import { type Difference, PassiveLearner } from '../../learn/index.js';
import type { Learned } from '../../learn/result.js';
import { type CapabilitySet, capabilityNames } from '../../machines/index.js';
import { distinctHosts, readTrace } from '../../trace/open.js';
import { traceInputs } from '../inputs.js';
import { Progress } from '../progress.js';

export interface PassiveWish {
  /** Traces, as operands of the command line. */
  readonly from: readonly string[];
  /** Only this device. */
  readonly device: string | undefined;
  /** Capabilities to compare with; null: those of the traces. */
  readonly given: CapabilitySet | null;
  readonly diff: string | undefined;
}

export interface PassiveOutcome {
  readonly learned: Learned;
  readonly found: readonly Difference[];
  /** Places of the differences in the machine's tables. */
  readonly places: ReadonlySet<number>;
  readonly against: string | null;
}

/**
 * Learns from traces what they show.
 * @throws InputError for one that cannot be read
 */
export async function learnFromTraces({ from, device, given, diff }: PassiveWish): Promise<PassiveOutcome> {
  const learner = new PassiveLearner(device);
  const progress = new Progress();
  const inputs = distinctHosts(traceInputs(from, undefined));
  const remarks: string[] = [];
  try {
    for (const input of inputs) {
      const { cut, remarks: said } = await readTrace(input, {
        emit: (event) => learner.take(event),
        wants: PassiveLearner.wants,
        progress: (done, total) => progress.update(input.file, done, total),
      });
      if (cut) remarks.push(`${input.file} ends in the middle of a line or record`);
      remarks.push(...said.map((each) => `${input.file}: ${each}`));
    }
  } finally {
    progress.end();
  }
  const recorded = learner.end(inputs.map(({ file }) => file).join(', '));
  const learned = { ...recorded.learned, notes: [...recorded.learned.notes, ...remarks] };
  if (diff === undefined) return { learned, found: [], places: new Set(), against: null };
  const { caps, seen } = recorded.compare(given);
  return {
    learned,
    found: seen.map(({ difference }) => difference),
    places: new Set(seen.map(({ call }) => recorded.placeOf(call))),
    against: `${diff} (${capabilityNames(caps).join(', ')})`,
  };
}
