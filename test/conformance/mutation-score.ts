import { FAULTS, type Fault } from '../../devices/faults/index.js';
import { withOptions } from '../../devices/lab/subject.js';
import { mockTarget } from '../../devices/mock-target.js';
import { type Criterion, generateSuite } from '../../src/generate/index.js';
import { capabilitiesOfFlags } from '../../src/machines/index.js';
import { runSuite, type TestReport } from '../../src/run/index.js';

/** What a device under test is put through: calls to the device alone, and migrations with a guest. */
const COVERAGE: readonly Criterion[] = ['requests', 'sessions', 'errors', 'guest'];

/** Runs the suite on the mock device of a text, as `stopcopy test --target mock:TEXT` does; failures as they are. */
export async function tested(text: string, coverage = COVERAGE): Promise<TestReport> {
  const { report } = await runSuite({
    target: mockTarget(`mock:${text}`),
    suite: (facts) => generateSuite({ ...facts, coverage }),
    shrinkTries: 0,
  });
  return report;
}

/** What comes of a device with a fault. */
export interface Mutant {
  readonly device: string;
  readonly fault: Fault;
  readonly verdict: TestReport['verdict'];
  /** Rules that failures name, those that fit the fault and others. */
  readonly fitting: readonly string[];
  readonly others: readonly string[];
}

export const isKilled = ({ verdict, fitting }: Mutant): boolean => verdict === 'fail' && fitting.length > 0;

export async function mutant(device: string, fault: Fault, coverage = COVERAGE): Promise<Mutant> {
  const { verdict, failures } = await tested(withOptions(device, { fault: fault.name }), coverage);
  const rules = [...new Set(failures.map(({ rule }) => rule))].sort();
  const fits = (rule: string) => fault.caughtBy.includes(rule);
  return {
    device,
    fault,
    verdict,
    fitting: rules.filter(fits),
    others: rules.filter((rule) => !fits(rule)),
  };
}

/** Faults that can show on the device of a text: it has what they need. */
export async function faultsOf(text: string): Promise<readonly Fault[]> {
  const target = mockTarget(`mock:${text}`);
  const { flags, dmaLogging } = await target.open();
  await target.close();
  const { p2p, preCopy } = capabilitiesOfFlags(flags);
  const dma = !text.startsWith('uart');
  const has = { p2p, 'pre-copy': preCopy, dma, 'dma-logging': dma && dmaLogging !== null };
  return FAULTS.filter(({ needs }) => needs.every((need) => has[need]));
}

/** A line a fault, and the score. */
export function table(mutants: readonly Mutant[]): string {
  const killed = mutants.filter(isKilled).length;
  const rows = mutants.map((each) => [
    each.device,
    each.fault.name,
    isKilled(each) ? 'killed' : 'ALIVE',
    each.fitting.join(' ') || '-',
    each.others.join(' '),
  ]);
  const all = [['device', 'fault', 'is', 'rules that fit', 'other rules'], ...rows];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  const lines = all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  return [...lines, `mutation score: ${killed} of ${mutants.length}`].join('\n');
}
