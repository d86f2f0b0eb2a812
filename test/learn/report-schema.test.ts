import { expect, expectTypeOf, test } from 'vitest';
import type { z } from 'zod';
import { type LearnReport, learnJsonSchema, type learnSchema } from '../../src/learn/index.js';

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends object | null ? Mutable<T[K]> : T[K] };

test('the schema has the fields of the type', () => {
  expectTypeOf<keyof z.infer<typeof learnSchema>>().toEqualTypeOf<keyof LearnReport>();
  expectTypeOf<z.infer<typeof learnSchema>>().toExtend<Mutable<LearnReport>>();
});

test('the schema is the published one (after a change: npx vitest run test/learn/report-schema.test.ts -u)', async () => {
  const text = `${JSON.stringify(learnJsonSchema(), null, 2)}\n`;
  await expect(text).toMatchFileSnapshot('../../docs/schema/learn-report.schema.json');
});
