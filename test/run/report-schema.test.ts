import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, expectTypeOf, it } from 'vitest';
import type { z } from 'zod';
import { mockTarget, Uart } from '../../devices/index.js';
import { runSuite, type TestReport, testJsonSchema, type testSchema } from '../../src/run/index.js';
import { reportOf, SAVE_AND_LOAD, suiteOf } from './fixture.js';

type Parsed = z.infer<typeof testSchema>;
const PUBLISHED = new URL('../../docs/schema/test-report.schema.json', import.meta.url);

describe('schema of the report of test', () => {
  it('has the types of the report', () => {
    expectTypeOf<Parsed>().toExtend<TestReport>();
    expectTypeOf<keyof Parsed>().toEqualTypeOf<keyof TestReport>();
    expectTypeOf<keyof Parsed['failures'][number]>().toEqualTypeOf<keyof TestReport['failures'][number]>();
  });

  it('accepts reports, and nothing with another field', async () => {
    const validate = new Ajv2020().compile(testJsonSchema());
    const faulty = mockTarget('mock:uart?fault=save-once');
    const failed = (await runSuite({ target: faulty, suite: suiteOf([SAVE_AND_LOAD]) })).report;
    for (const report of [await reportOf(new Uart(), [SAVE_AND_LOAD]), failed]) {
      expect(validate(JSON.parse(JSON.stringify(report))), JSON.stringify(validate.errors)).toBe(true);
      expect(validate({ ...report, extra: 1 })).toBe(false);
      expect(validate({ ...report, verdict: 'maybe' })).toBe(false);
    }
  });

  it('is the published one (after a change: npx vitest run test/run/report-schema.test.ts -u)', async () => {
    await expect(`${JSON.stringify(testJsonSchema(), null, 2)}\n`).toMatchFileSnapshot(
      fileURLToPath(PUBLISHED),
    );
  });
});
