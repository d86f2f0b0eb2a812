import { describe, expect, test } from 'vitest';
import { traceOf } from '../../src/explore/counterexample/trace.js';
import { explore } from '../../src/explore/engine/explore.js';
import type { Model, ModelEntry, ModelOptions } from '../../src/explore/model.js';
import { MODELS } from '../../src/explore/models/index.js';
import { modelOptions } from '../../src/explore/models/options.js';
import { exploreReport } from '../../src/explore/report.js';
import type { Path } from '../../src/explore/result.js';
import { validateEvents } from '../../src/validate/index.js';
import { exploreNaively } from './naive.js';

const make = (entry: ModelEntry, given: Partial<ModelOptions> = {}) => entry.make(modelOptions(entry, given));

/** The smallest size of a model. */
function least({ ranges }: ModelEntry): Partial<ModelOptions> {
  return Object.fromEntries(Object.entries(ranges).map(([name, range]) => [name, range.least]));
}

/** Rules that validate finds broken in the trace of a run. */
function findings(model: Model, path: Path): string[] {
  const traced = new Set(model.actions.flatMap(({ events }) => events.map(({ kind }) => kind)));
  const { violations } = validateEvents(traceOf(model, path), { traced });
  return [...new Set(violations.filter(({ level }) => level !== 'note').map(({ rule }) => rule))].sort();
}

describe.each(MODELS.map((entry) => ({ name: entry.name, entry })))('$name', ({ entry }) => {
  test('every property holds, and each run that is shown stands on the machines', async () => {
    const model = make(entry);
    const report = exploreReport(model, await explore(model));
    expect(report.properties.filter(({ verdict }) => verdict !== 'holds')).toEqual([]);
    expect(report).toMatchObject({ verdict: 'holds', complete: true });
    expect(report.bounds.symmetry).toBe(model.symmetry.length > 0);
  });

  test('the plain explorer counts the same, in the smallest size', async () => {
    const model = make(entry, least(entry));
    const { states, edges, depth, broken } = exploreNaively(model, 300_000);
    const found = await explore(model, { symmetry: false });
    expect([found.states, found.edges, found.depth]).toEqual([states, edges, depth]);
    expect([...broken.keys()]).toEqual([]);
  });

  test.each(entry.variants.map((variant) => ({ variant: variant.name, breaks: variant.breaks })))(
    '$variant breaks what it is said to break, and nothing else',
    async ({ variant, breaks }) => {
      const model = make(entry, { variant });
      const report = exploreReport(model, await explore(model));
      const violated = report.properties.filter(({ verdict }) => verdict === 'violated').map(({ id }) => id);
      expect(violated.sort()).toEqual([...breaks].sort());
      expect(report.properties.filter(({ verdict }) => verdict === 'unknown')).toEqual([]);
    },
  );

  test('runs that are right are conformant to validate', async () => {
    const model = make(entry);
    const { properties } = await explore(model);
    for (const { witness } of properties) if (witness !== null) expect(findings(model, witness)).toEqual([]);
  });

  test('each property is broken by a variant', () => {
    const ids = make(entry).properties.map(({ id }) => id);
    const broken = new Set(entry.variants.flatMap(({ breaks }) => breaks));
    expect(ids.filter((id) => !broken.has(id))).toEqual([]);
  });
});

/** What a counterexample of a variant is to validate: the rules that name the same fault. */
const JUDGED: readonly (readonly [
  model: string,
  variant: string,
  property: string,
  rules: readonly string[],
])[] = [
  ['two-phase-stop', 'qemu-11.1', 'no-p2p-to-stopped', ['VMM-MIG-07']],
  ['switchover-ack', 'gate-ignored', 'no-early-switchover', ['VMM-ACK-01']],
  ['vhost-log-switch', 'qemu-11.1', 'no-page-lost', ['VHOST-USR-51']],
];

test.each(JUDGED)(
  '%s as %s: the trace of %s is judged by validate',
  async (name, variant, property, rules) => {
    const entry = MODELS.find((each) => each.name === name)!;
    const model = make(entry, { variant });
    const { properties } = await explore(model, { properties: [property] });
    expect(findings(model, properties[0]!.counterexample!)).toEqual(rules);
  },
);
