import type { TestFlags } from '../commands/test.js';
import { UsageError } from '../exit.js';

/** A run of something other than a VFIO device: its report, and the exit code. */
export interface OtherRun {
  readonly text: Iterable<string>;
  readonly exit: number;
}

/** Refuses what only suites of VFIO devices have. @throws UsageError */
export function otherReport({ suite, coverage, format }: TestFlags, what: string): void {
  if (suite !== undefined || coverage.length > 0)
    throw new UsageError(`--suite and --coverage are for VFIO devices; ${what} has cases of its own`);
  if (format !== 'people' && format !== 'json')
    throw new UsageError(`--format ${format} is for VFIO devices; the report on ${what} is people or json`);
}
