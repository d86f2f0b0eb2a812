import type { LearnReport } from '../../learn/index.js';
import { clean, hanging, type Paint, plural } from '../../text/words.js';

const WHY = {
  budget: 'the budget of requests or the time was used up',
  interrupted: 'it was interrupted',
  nondeterminism: 'the device answers the same word differently',
  lost: 'the device does not come back to where words begin',
  recorded: 'traces show no more',
} as const;

/** What was learned, for people, in lines of at most 100 columns. */
export function* learnText(report: LearnReport, paint: Paint): Generator<string> {
  const { machine, differences, against, nondeterminism } = report;
  yield `${paint('bold', clean(report.target))}: ${plural(report.states, 'state')}`;
  for (const state of machine.states) {
    const arrows = machine.transitions.filter(({ from, to }) => from === state && to !== from);
    yield* hanging(
      `  ${state}: `,
      arrows.map(({ input, output, to }) => `${input} -> ${to} (${output})`).join('; ') || 'nothing leads on',
    );
  }
  yield '';
  for (const { from, input, expected, actual, word, location } of differences) {
    yield* hanging(
      `${paint('red', 'differs')} `,
      `in ${from}, ${input}: expected ${expected.join(' or ')}; the device answered ${actual}`,
    );
    yield* hanging('        ', `word: ${endOf(word)}`);
    if (location !== undefined) yield `        at ${clean(location)}`;
  }
  if (nondeterminism !== null) {
    yield* hanging('  ', `the word ${nondeterminism.word.join('; ')} was answered in different ways:`);
    for (const answers of nondeterminism.answers) yield* hanging('    ', answers.join('; '));
  }
  for (const note of report.notes) yield* hanging('  note: ', clean(note));
  const recorded = report.reason === 'recorded';
  yield* hanging(
    'learned: ',
    `${plural(report.requests, 'request')}, ${plural(report.words, 'word')}, ${plural(report.resets, 'fresh start')}; ` +
      (report.complete || recorded ? report.guarantee : `not complete: ${WHY[report.reason!]}`),
  );
  if (against === null) return;
  const verdict =
    differences.length > 0
      ? paint('red', 'DIFFERENT')
      : report.complete
        ? paint('green', 'EQUAL')
        : recorded
          ? report.requests > 0
            ? paint('green', 'NO DIFFERENCE SEEN')
            : 'NOTHING SEEN'
          : 'UNKNOWN';
  yield `verdict: ${verdict}  ${plural(differences.length, 'difference')} from ${against}`;
}

/** Inputs at the end of a word that are shown: words of traces may be long. */
const SHOWN = 12;

const endOf = (word: readonly string[]): string =>
  (word.length > SHOWN ? '...; ' : '') + word.slice(-SHOWN).join('; ');
