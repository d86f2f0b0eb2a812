import { table } from '../../document/table.js';
import type { Stats } from '../../generate/index.js';
import { COVERAGE_MEASURES, type Covered } from '../../suite/index.js';
import { number, WIDTH, wrap } from '../../text/words.js';

const HEAD = ['CAPABILITIES', 'CRITERION', 'CASES', 'STEPS', 'RESETS', 'COVERED', 'LOWER BOUND'];

/** Statistics of suites, one for each capability set, as text. */
export function* statsText(all: readonly Stats[]): Generator<string> {
  yield lines(table([HEAD, ...all.flatMap(rowsOf)], ''));
  yield '\nWhat all cases of a suite cover:\n';
  const measures = COVERAGE_MEASURES.map((measure) => measure.toUpperCase());
  const coverage = all.map((each) => [
    nameOf(each),
    ...COVERAGE_MEASURES.map((measure) => covered(each.coverage[measure])),
  ]);
  yield lines(table([['CAPABILITIES', ...measures], ...coverage], ''));
  const proofs = new Set(
    all.flatMap(({ criteria }) =>
      criteria.flatMap(({ criterion, proof }) => (proof ? [`${criterion}: ${proof}`] : [])),
    ),
  );
  if (proofs.size > 0)
    yield `\nLower bounds, in steps:\n${lines([...proofs].flatMap((proof) => indented(proof)))}`;
  for (const guarantee of new Set(all.map((each) => each.guarantee))) {
    if (guarantee === null) continue;
    const devices = all.filter((each) => each.guarantee === guarantee);
    const which = devices.length === all.length ? '' : ` with ${devices.map(nameOf).join('; or ')}`;
    yield `\nA device${which} that passes:\n${lines(indented(guarantee))}`;
  }
}

function rowsOf(stats: Stats): string[][] {
  const name = nameOf(stats);
  const rows = stats.criteria.map((each) => [
    name,
    each.criterion,
    number(each.cases),
    number(each.steps),
    number(each.resets),
    each.coverage ? covered(each.coverage) : '-',
    each.lowerBound === null ? '-' : number(each.lowerBound),
  ]);
  if (rows.length === 1) return rows;
  const sum = [number(stats.cases), number(stats.steps), number(stats.resets)];
  return [...rows, [name, 'all', ...sum, '', '']];
}

const nameOf = ({ capabilities }: Pick<Stats, 'capabilities'>): string => capabilities.join(', ');
const covered = ({ reached, total }: Covered): string => `${reached}/${total}`;
const lines = (all: readonly string[]): string => `${all.join('\n')}\n`;
const indented = (text: string): string[] => wrap(text, WIDTH - 2).map((line) => `  ${line}`);
