import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { generateSuite, statsJsonSchema, suiteStats } from '../../src/generate/index.js';
import { CAPABILITY_SETS } from '../../src/machines/index.js';
import { suiteJsonSchema } from '../../src/suite/index.js';

const options = {
  capabilities: CAPABILITY_SETS[3]!,
  coverage: ['requests', 'sessions', 'errors'],
} as const;

const published = (name: string) => fileURLToPath(new URL(`../../docs/schema/${name}`, import.meta.url));
const text = (schema: object) => `${JSON.stringify(schema, null, 2)}\n`;

describe('the schema of a suite', () => {
  const validate = new Ajv2020({ strictTypes: false }).compile(suiteJsonSchema());

  test('accepts suites, and nothing with another field', () => {
    const suite = generateSuite(options);
    expect(validate(suite), JSON.stringify(validate.errors)).toBe(true);
    expect(validate({ ...suite, extra: 1 })).toBe(false);
    const [first] = suite.cases;
    expect(validate({ ...suite, cases: [{ ...first, steps: [] }] })).toBe(false);
  });

  test('is the published one (after a change: npx vitest run test/generate/schema.test.ts -u)', async () => {
    await expect(text(suiteJsonSchema())).toMatchFileSnapshot(published('suite.schema.json'));
  });
});

describe('the schema of the statistics', () => {
  const validate = new Ajv2020({ strictTypes: false }).compile(statsJsonSchema());

  test('accepts statistics, and nothing with another field', () => {
    const stats = suiteStats(options);
    expect(validate(stats), JSON.stringify(validate.errors)).toBe(true);
    expect(validate({ ...stats, capabilitySets: [stats] })).toBe(true);
    expect(validate({ ...stats, extra: 1 })).toBe(false);
  });

  test('is the published one', async () => {
    await expect(text(statsJsonSchema())).toMatchFileSnapshot(published('suite-stats.schema.json'));
  });
});
