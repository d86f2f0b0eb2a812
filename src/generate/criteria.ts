import type { CoverageMeasure } from '../suite/index.js';
import type { GenerateContext, Made } from './context.js';
import { errorCases } from './errors.js';
import { guestCases } from './guest.js';
import { mCompleteCases } from './m-complete.js';
import { sessionCases } from './sessions.js';
import { completeBound, coverArcs, coverPairs, coverRequests, coverStates, randomWalks } from './tours.js';

/** A way to say when a suite tries enough. */
export interface CriterionEntry {
  readonly name: string;
  readonly title: string;
  /** What a device that passes is known to do. */
  readonly guarantee: string;
  /** What it is about, where that is one of the measures. */
  readonly measure: CoverageMeasure | null;
  make(context: GenerateContext): Made;
}

/** What a suite can be asked to cover, by name. */
export const CRITERIA = [
  {
    name: 'states',
    title: 'every state that requests reach',
    guarantee: 'The device reaches every state of the uAPI that its capabilities have.',
    measure: 'states',
    make: coverStates,
  },
  {
    name: 'arcs',
    title: 'every arc, alone or on the path of a request',
    guarantee: 'Each arc of the uAPI works at least once, alone or on the path of a request.',
    measure: 'arcs',
    make: coverArcs,
  },
  {
    name: 'requests',
    title: 'every request in every state, those that are refused as well',
    guarantee: 'Every request has, in every state, an outcome that the uAPI allows.',
    measure: 'requests',
    make: coverRequests,
  },
  {
    name: 'pairs',
    title: 'every two requests in a row (2-switch)',
    guarantee: 'Every request has an outcome that the uAPI allows, whichever request came right before it.',
    measure: 'pairs',
    make: coverPairs,
  },
  {
    name: 'sessions',
    title: 'what the data stream does in each state',
    guarantee: 'A data_fd gives, takes and ends data in each state as the uAPI says.',
    measure: null,
    make: (context) => ({ cases: sessionCases(context) }),
  },
  {
    name: 'errors',
    title: 'what has to fail, and how the device goes on',
    guarantee: 'What has to fail fails, and changes nothing.',
    measure: null,
    make: (context) => ({ cases: errorCases(context) }),
  },
  {
    name: 'guest',
    title: 'whole migrations with a guest that uses the device',
    guarantee: 'The guest keeps its memory and its device through the migrations that were played.',
    measure: null,
    make: (context) => ({ cases: guestCases(context) }),
  },
  {
    name: 'm-complete',
    title: 'every device of so many states that answers otherwise is found',
    guarantee:
      'The device answers every sequence of requests as the model does, if it has few states enough.',
    measure: 'requests',
    make: mComplete,
  },
  {
    name: 'random',
    title: 'requests drawn at random by a seed',
    guarantee: 'The device took the walks that were drawn; nothing is known of others.',
    measure: null,
    make: randomWalks,
  },
] as const satisfies readonly CriterionEntry[];

/** A criterion of coverage, and how cases for it are made. */
export type Criterion = (typeof CRITERIA)[number]['name'];

/** The names of all criteria. */
export const CRITERION_NAMES: readonly Criterion[] = CRITERIA.map(({ name }) => name);

function mComplete(context: GenerateContext): Made {
  const { cases, guarantee } = mCompleteCases({ ...context, reset: !context.lacks.has('reset') });
  // What is not seen to differ need not be tried apart, so the bound is one of suites with GET.
  const lowerBound = context.status ? completeBound(context) : undefined;
  return { cases, guarantee, ...(lowerBound && { lowerBound }) };
}

/** The criterion with this name. */
export function criterionNamed(name: Criterion): CriterionEntry {
  return CRITERIA.find((each) => each.name === name)!;
}
