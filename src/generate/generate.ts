import type { CompleteMethod } from '../automaton/index.js';
import { type CapabilitySet, capabilityNames } from '../machines/index.js';
import { ruleIdsOf } from '../rules/index.js';
import { CoverageMeter, SUITE_SCHEMA, type Suite } from '../suite/index.js';
import { withinBudget } from './budget.js';
import type { GenerateContext, Made } from './context.js';
import { type Criterion, type CriterionEntry, criterionNamed } from './criteria.js';

/** The machine that describes a device under test. */
export const MODEL = 'vfio-device';

/** What a suite is made from. */
export interface GenerateOptions {
  readonly capabilities: CapabilitySet;
  readonly coverage: readonly Criterion[];
  /** Calls that the target has no form for (the names of `OptionalCall`); default none. */
  readonly lacks?: Iterable<string>;
  /** Whether the state is asked for after each request; default true. */
  readonly status?: boolean;
  /** Most steps of the whole suite; default: as many as the criteria need. */
  readonly budget?: number;
  /** Of what is drawn at random; default 1. */
  readonly seed?: number;
  /** Names of whole migrations that the target's guest can play, for `guest`; default none. */
  readonly scenarios?: readonly string[];
  /** Hidden states beyond the model's that `m-complete` reckons with; default 0. */
  readonly extraStates?: number;
  /** How `m-complete` tells states apart; default `hsi`. */
  readonly method?: CompleteMethod;
}

/** A suite, and what each criterion made for it before the budget was looked at. */
export interface Generated {
  readonly suite: Suite;
  readonly context: GenerateContext;
  readonly parts: readonly { readonly criterion: CriterionEntry; readonly made: Made }[];
}

/**
 * Cases for a device with these capabilities that reach the criteria, one criterion after the other. The same
 * options give the same suite.
 */
export function generateSuite(options: GenerateOptions): Suite {
  return generate(options).suite;
}

export function generate(options: GenerateOptions): Generated {
  const context = contextOf(options);
  const parts = [...new Set(options.coverage)].map((name) => {
    const criterion = criterionNamed(name);
    return { criterion, made: criterion.make(context) };
  });
  const all = parts.flatMap(({ made }) => made.cases);
  const cases = context.budget === null ? all : withinBudget(all, context.budget, meterFor(context));
  const isWhole = context.budget === null || cases.length === all.length;
  const suite: Suite = {
    schema: SUITE_SCHEMA,
    model: MODEL,
    capabilities: capabilityNames(context.capabilities),
    coverage: parts.map(({ criterion }) => criterion.name),
    guarantee: isWhole ? guaranteeOf(parts) : null,
    cases,
  };
  return { suite, context, parts };
}

function contextOf(options: GenerateOptions): GenerateContext {
  return {
    capabilities: options.capabilities,
    lacks: new Set(options.lacks ?? []),
    status: options.status ?? true,
    seed: options.seed ?? 1,
    budget: options.budget ?? null,
    scenarios: options.scenarios ?? [],
    extraStates: options.extraStates ?? 0,
    method: options.method ?? 'hsi',
  };
}

function guaranteeOf(parts: Generated['parts']): string {
  return parts.map(({ criterion, made }) => made.guarantee ?? criterion.guarantee).join(' ');
}

/** Measures what is to be covered of a target, with the rules that bind drivers. */
export function meterFor({
  capabilities,
  lacks,
}: Pick<GenerateContext, 'capabilities' | 'lacks'>): CoverageMeter {
  return new CoverageMeter({ capabilities, lacks, rules: ruleIdsOf('driver') });
}
