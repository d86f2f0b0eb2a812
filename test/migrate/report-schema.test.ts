import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, expectTypeOf, it } from 'vitest';
import type { z } from 'zod';
import type { MigrateReport } from '../../src/migrate/report.js';
import { migrateJsonSchema, type migrateSchema } from '../../src/migrate/report-schema.js';
import { migration } from './two-sides.js';

type Parsed = z.infer<typeof migrateSchema>;
const PUBLISHED = new URL('../../docs/schema/migrate-report.schema.json', import.meta.url);

describe('schema of the report of migrate', () => {
  it('has the types of the report', () => {
    expectTypeOf<Parsed>().toExtend<MigrateReport>();
    expectTypeOf<keyof Parsed>().toEqualTypeOf<keyof MigrateReport>();
    expectTypeOf<keyof Parsed['devices'][number]>().toEqualTypeOf<keyof MigrateReport['devices'][number]>();
  });

  it('accepts reports, and nothing with another field', async () => {
    const validate = new Ajv2020().compile(migrateJsonSchema());
    const cancel = (each: { cancel(): boolean }) => void setTimeout(() => each.cancel(), 20);
    for (const during of [undefined, cancel]) {
      const { report } = await migration([], during === undefined ? {} : { during });
      expect(validate(JSON.parse(JSON.stringify(report))), JSON.stringify(validate.errors)).toBe(true);
      expect(validate({ ...report, extra: 1 })).toBe(false);
      expect(validate({ ...report, outcome: 'maybe' })).toBe(false);
    }
  });

  it('is the published one (after a change: npx vitest run test/migrate/report-schema.test.ts -u)', async () => {
    await expect(`${JSON.stringify(migrateJsonSchema(), null, 2)}\n`).toMatchFileSnapshot(
      fileURLToPath(PUBLISHED),
    );
  });
});
