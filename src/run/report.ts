import type { Coverage, Suite } from '../suite/index.js';
import type { Party } from '../uapi/party.js';

/** Name and version of the JSON that `stopcopy test --json` prints. */
export const TEST_SCHEMA = 'stopcopy-test-1';

/** `pass`: all that ran is as the uAPI has it. `fail`: something is not. `error`: nothing could be judged. */
export type TestVerdict = 'pass' | 'fail' | 'error';

/** One rule that the device breaks in one case. */
export interface TestFailure {
  readonly case: string;
  /** What the case is about. */
  readonly title: string;
  readonly rule: string;
  readonly ruleTitle: string;
  readonly party: Party;
  readonly clause: { readonly id: string; readonly source: string; readonly text: string };
  /** What usually leads to this. */
  readonly cause: string;
  /** Place of the step in the case, from 0; null: on the way back to RUNNING behind the last one. */
  readonly step: number | null;
  /** The call of the step. */
  readonly call: string;
  /** What is allowed: outcomes, in the words of the vfio-device machine, or what the rule wants. */
  readonly expected: string[];
  readonly actual: string;
  /** Name of the error number that came with it, or null. */
  readonly errno: string | null;
  /** What happened, in a sentence. */
  readonly message: string;
  /** The shortest sequence of calls that shows it; as long as the case where it was not shrunk. */
  readonly shrunk: string[];
  /** Whether no call can be left out of `shrunk`. */
  readonly minimal: boolean;
}

/** A deviation that this implementation is known for. */
export interface KnownDeviation {
  readonly case: string;
  readonly rule: string;
  readonly step: number | null;
  readonly words: string;
}

/** A case that was not run, and why. */
export interface SkippedCase {
  readonly case: string;
  readonly reason: string;
}

/** What a run of a suite on a target has shown. */
export interface TestReport {
  readonly schema: typeof TEST_SCHEMA;
  /** The target's URI. */
  readonly target: string;
  /** The device's name; null: it could not be opened. */
  readonly device: string | null;
  readonly verdict: TestVerdict;
  /** Why the verdict is `error`, else null. */
  readonly reason: string | null;
  /** Cases that ran, and those of them in which nothing was wrong. */
  readonly cases: number;
  readonly passed: number;
  readonly failures: TestFailure[];
  readonly skipped: SkippedCase[];
  readonly known: KnownDeviation[];
  /** What was done, counted as `generate --stats` counts a suite. */
  readonly coverage: Coverage;
  readonly capabilities: string[];
  readonly profile: string | null;
  /** Steps that were executed, without those of shrinking; resets, with them. */
  readonly steps: number;
  readonly resets: number;
  readonly durationMs: number;
  readonly remarks: string[];
  /** The shrunk sequences as a suite: each has the id of its case. */
  readonly replay: Suite | null;
}
