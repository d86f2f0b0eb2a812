import { readFileSync, statSync } from 'node:fs';
import { z } from 'zod';
import { TEST_SCHEMA, testSchema } from '../../run/index.js';
import { type Suite, suiteSchema } from '../../suite/index.js';
import { UsageError } from '../exit.js';

/** The largest suite that is read. */
const MOST_BYTES = 256 << 20;

/**
 * A suite from a file, or from standard input for `-`. A report of `stopcopy test --json` is one too: its
 * shrunk sequences.
 * @throws UsageError when it cannot be read, or is neither
 */
export function readSuite(file: string): Suite {
  const name = file === '-' ? 'standard input' : file;
  const value = parse(name, read(name, file));
  const isReport = (value as { schema?: unknown } | null)?.schema === TEST_SCHEMA;
  if (!isReport) return checked(name, suiteSchema, value);
  const { replay } = checked(name, testSchema, value);
  if (replay === null)
    throw new UsageError(`${name} is a report without failures: there is nothing to replay`);
  return replay;
}

function read(name: string, file: string): string {
  try {
    if (file !== '-' && statSync(file).size > MOST_BYTES)
      throw new UsageError(`${name} is larger than any suite (${MOST_BYTES} bytes)`);
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`cannot read ${name}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}

function parse(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError(`${name} is no JSON; make a suite with stopcopy generate vfio-device --emit json`);
  }
}

function checked<T>(name: string, schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const place = issue === undefined || issue.path.length === 0 ? '' : ` at ${z.core.toDotPath(issue.path)}`;
  throw new UsageError(`${name} is no suite${place}: ${issue?.message ?? 'it has another form'}`);
}
