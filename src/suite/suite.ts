import type { z } from 'zod';
import type { caseSchema, stepSchema, suiteSchema } from './schema.js';

/** One call to the device, and the outcomes that the uAPI allows. */
export type Step = z.output<typeof stepSchema>;
/** What a step does, such as `set` or `read`. */
export type StepKind = Step['do'];
/** The step of a kind. */
export type StepOf<K extends StepKind> = Extract<Step, { do: K }>;
/** Steps that begin with a device in RUNNING and no session. */
export type Case = z.output<typeof caseSchema>;
/** A test suite: cases with the outcomes that are allowed. */
export type Suite = z.output<typeof suiteSchema>;
