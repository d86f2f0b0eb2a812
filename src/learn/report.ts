import { z } from 'zod';
import type { Difference } from './difference.js';
import { type MachineData, machineData } from './render.js';
import type { Learned } from './result.js';

/** Name and version of the JSON of `learn`. */
export const LEARN_SCHEMA = 'stopcopy-learn-1';

/** What `learn --json` prints. */
export interface LearnReport {
  readonly schema: typeof LEARN_SCHEMA;
  readonly target: string;
  /** Calls that were put to the device; of traces, that they hold. */
  readonly requests: number;
  readonly resets: number;
  readonly words: number;
  /** Number of states of the machine. */
  readonly states: number;
  readonly machine: MachineData;
  /** Null: nothing was compared. */
  readonly against: string | null;
  readonly differences: readonly Difference[];
  readonly complete: boolean;
  readonly reason: Learned['reason'];
  readonly guarantee: string;
  readonly nondeterminism: Learned['nondeterminism'];
  readonly notes: readonly string[];
}

/** The report of what was learned. @param against what it was compared with, or null */
export function learnReport(
  learned: Learned,
  against: string | null,
  differences: readonly Difference[],
): LearnReport {
  const { target, machine, requests, resets, words, complete, reason, guarantee, nondeterminism, notes } =
    learned;
  return {
    schema: LEARN_SCHEMA,
    target,
    requests,
    resets,
    words,
    states: machine.states.length,
    machine: machineData(machine),
    against,
    differences,
    complete,
    reason,
    guarantee,
    nondeterminism,
    notes,
  };
}

const count = z.number().int().nonnegative();
const strings = z.array(z.string());

/** `learn --json`; a test holds it equal to the type. */
export const learnSchema = z.strictObject({
  schema: z.literal(LEARN_SCHEMA),
  target: z.string(),
  requests: count.describe('calls that were put to the device, those of fresh starts among them'),
  resets: count.describe('fresh starts of the device'),
  words: count,
  states: count,
  machine: z.strictObject({
    initial: z.string(),
    states: strings,
    inputs: strings,
    transitions: z.array(
      z.strictObject({ from: z.string(), input: z.string(), output: z.string(), to: z.string() }),
    ),
  }),
  against: z.string().nullable().describe('what it was compared with; null: nothing'),
  differences: z.array(
    z.strictObject({
      from: z.string(),
      input: z.string(),
      expected: strings.describe('what the protocol allows, the likeliest answer first'),
      actual: z.string(),
      word: strings.describe('a shortest word that shows it; of traces: the calls since the state was known'),
      location: z.string().optional().describe('of traces: the file and line that show it'),
    }),
  ),
  complete: z.boolean(),
  reason: z.enum(['budget', 'interrupted', 'nondeterminism', 'lost', 'recorded']).nullable(),
  guarantee: z.string().describe('for which devices the machine is right'),
  nondeterminism: z.strictObject({ word: strings, answers: z.array(strings) }).nullable(),
  notes: strings,
});

/** The JSON Schema of `learn --json`, as published. */
export function learnJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(learnSchema, { target: 'draft-2020-12' });
  return { ...schema, title: `Report of stopcopy learn (${LEARN_SCHEMA})` };
}
