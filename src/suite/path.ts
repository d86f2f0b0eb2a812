import type { Case } from './suite.js';

/** The first of the outcomes that leaves the device in a state; the first of all where none does. */
export function likeliest(outcomes: readonly string[], next: string | undefined): string {
  return outcomes.find((each) => next !== undefined && stateAfter(each) === next) ?? outcomes[0]!;
}

/** The state that an outcome tells, or undefined. */
function stateAfter(outcome: string): string | undefined {
  const [call, first, second] = outcome.split('.');
  if (call === 'FAIL') return second;
  if (outcome === 'RESET.ok') return 'RUNNING';
  return call === 'SET' || call === 'GET' || call === 'OPEN' ? first : undefined;
}

/**
 * The outcomes that a case was made for, as events of the vfio-device chart: the case as a path through it.
 * An open of the device stands as the reset that it is to the chart; what the chart does not know it ignores.
 */
export function caseEvents({ steps }: Case): string[] {
  return steps.map(({ expect }, index) => {
    const outcome = likeliest(expect, steps[index + 1]?.at);
    return outcome.startsWith('OPEN.') ? 'RESET.ok' : outcome;
  });
}
