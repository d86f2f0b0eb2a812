import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, expectTypeOf, it } from 'vitest';
import type { z } from 'zod';
import { type ExploreOptions, explore } from '../../src/explore/engine/explore.js';
import { initialState, step } from '../../src/explore/interpret.js';
import { modelNamed } from '../../src/explore/models/index.js';
import { modelOptions } from '../../src/explore/models/options.js';
import { type ExploreReport, exploreReport, type ReportedPath } from '../../src/explore/report.js';
import { exploreJsonSchema, type exploreSchema } from '../../src/explore/report-schema.js';

type Parsed = z.infer<typeof exploreSchema>;
const PUBLISHED = new URL('../../docs/schema/explore-report.schema.json', import.meta.url);

const entry = modelNamed('two-phase-stop')!;
const modelOf = (variant: string | null) => entry.make(modelOptions(entry, { variant }));

async function reportOf(
  variant: string | null,
  options: Partial<ExploreOptions> = {},
): Promise<ExploreReport> {
  const model = modelOf(variant);
  return exploreReport(model, await explore(model, options));
}

describe('schema of the report of explore', () => {
  it('has the types of the report', () => {
    expectTypeOf<Parsed>().toExtend<ExploreReport>();
    expectTypeOf<keyof Parsed>().toEqualTypeOf<keyof ExploreReport>();
    type Property = ExploreReport['properties'][number];
    expectTypeOf<keyof Parsed['properties'][number]>().toEqualTypeOf<keyof Property>();
    type ParsedPath = NonNullable<Parsed['properties'][number]['counterexample']>;
    expectTypeOf<keyof ParsedPath>().toEqualTypeOf<keyof ReportedPath>();
    expectTypeOf<keyof Parsed['options']>().toEqualTypeOf<keyof ExploreReport['options']>();
    expectTypeOf<keyof Parsed['bounds']>().toEqualTypeOf<keyof ExploreReport['bounds']>();
    expectTypeOf<keyof Parsed['statistics']>().toEqualTypeOf<keyof ExploreReport['statistics']>();
    expectTypeOf<Parsed['reason']>().toEqualTypeOf<ExploreReport['reason']>();
  });

  it('accepts reports, and nothing with another field', async () => {
    const validate = new Ajv2020().compile(exploreJsonSchema());
    const reports = [
      await reportOf(null),
      await reportOf('qemu-11.1'),
      await reportOf('prepare-hangs'),
      await reportOf(null, { depth: 3 }),
    ];
    expect(reports.map(({ verdict }) => verdict)).toEqual(['holds', 'violated', 'violated', 'unknown']);
    for (const report of reports) {
      expect(validate(JSON.parse(JSON.stringify(report))), JSON.stringify(validate.errors)).toBe(true);
      expect(validate({ ...report, extra: 1 })).toBe(false);
      expect(validate({ ...report, verdict: 'pass' })).toBe(false);
    }
  });

  it('is the published one (after a change: npx vitest run test/explore/report-schema.test.ts -u)', async () => {
    await expect(`${JSON.stringify(exploreJsonSchema(), null, 2)}\n`).toMatchFileSnapshot(
      fileURLToPath(PUBLISHED),
    );
  });
});

describe('a report', () => {
  it('tells of each step what it changed, so that the states can be made from it', async () => {
    const model = modelOf('qemu-11.1');
    const { properties } = await reportOf('qemu-11.1');
    const { counterexample } = properties.find(({ verdict }) => verdict === 'violated')!;
    const values: Record<string, unknown> = { ...initialState(model).values };
    let state = initialState(model);
    for (const [index, name] of counterexample!.actions.entries()) {
      state = step(model, state, model.actions.find((each) => each.name === name)!)!;
      Object.assign(values, counterexample!.changes[index]);
      expect(values).toMatchObject(state.values);
    }
    expect(counterexample!.changes.length).toBe(counterexample!.actions.length);
    expect(counterexample!.problem).toBe(null);
  });

  it('does not say violated of a run that does not stand on the machines', async () => {
    const model = modelOf('qemu-11.1');
    const exploration = await explore(model, { properties: ['no-p2p-to-stopped'] });
    const [result] = exploration.properties;
    const { actions } = result!.counterexample!;
    const wrong = { ...result!.counterexample!, actions: actions.toSpliced(1, 1) };
    const { verdict, properties } = exploreReport(model, {
      ...exploration,
      properties: [{ ...result!, counterexample: wrong }],
    });
    expect(verdict).toBe('unknown');
    expect(properties[0]).toMatchObject({
      verdict: 'unknown',
      reason: expect.stringMatching(/^replay: step \d+: '.*' is not enabled$/),
    });
  });
});
