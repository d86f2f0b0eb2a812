import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, expectTypeOf, it } from 'vitest';
import type { z } from 'zod';
import type { Report } from '../../src/validate/report.js';
import { reportJsonSchema, type reportSchema } from '../../src/validate/report-schema.js';
import { emptyReport, sampleReport } from './report-fixture.js';

type Parsed = z.infer<typeof reportSchema>;
const PUBLISHED = new URL('../../docs/schema/validate-report.schema.json', import.meta.url);

describe('schema of the report', () => {
  it('has the types of the report', () => {
    expectTypeOf<Parsed>().toExtend<Report>();
    expectTypeOf<Report>().toExtend<Parsed>();
    expectTypeOf<keyof Parsed>().toEqualTypeOf<keyof Report>();
    expectTypeOf<keyof Parsed['devices'][number]>().toEqualTypeOf<keyof Report['devices'][number]>();
    expectTypeOf<keyof Parsed['hosts'][number]>().toEqualTypeOf<keyof Report['hosts'][number]>();
    expectTypeOf<keyof Parsed['violations'][number]>().toEqualTypeOf<keyof Report['violations'][number]>();
    expectTypeOf<keyof Parsed['inputs'][number]>().toEqualTypeOf<keyof Report['inputs'][number]>();
    expectTypeOf<keyof Parsed['inputs'][number]['counts']>().toEqualTypeOf<
      keyof Report['inputs'][number]['counts']
    >();
    expectTypeOf<keyof Parsed['measurements']>().toEqualTypeOf<keyof Report['measurements']>();
    type Migration = Report['measurements']['migrations'][number];
    expectTypeOf<keyof Parsed['measurements']['migrations'][number]>().toEqualTypeOf<keyof Migration>();
  });

  it('accepts reports, and nothing with another field', () => {
    const validate = new Ajv2020().compile(reportJsonSchema());
    for (const report of [sampleReport(), emptyReport()]) {
      expect(validate(JSON.parse(JSON.stringify(report))), JSON.stringify(validate.errors)).toBe(true);
    }
    expect(validate({ ...sampleReport(), extra: 1 })).toBe(false);
    expect(validate({ ...sampleReport(), verdict: 'ok' })).toBe(false);
  });

  it('is the published one (after a change: npx vitest run test/validate/report-schema.test.ts -u)', async () => {
    await expect(`${JSON.stringify(reportJsonSchema(), null, 2)}\n`).toMatchFileSnapshot(
      fileURLToPath(PUBLISHED),
    );
  });
});
