import { createHash } from 'node:crypto';
import type { Case, Step } from '../suite/index.js';

/**
 * A case with a stable id: of the same steps, the same id, whatever else is in the suite.
 * @param name readable part of the id: letters, digits and `+.>_/-`
 */
export function makeCase(criterion: string, name: string, title: string, steps: Step[]): Case {
  return { id: `${criterion}/${name}-${digest(steps)}`, title, criterion, steps };
}

const digest = (steps: Step[]): string =>
  createHash('sha256').update(JSON.stringify(steps)).digest('hex').slice(0, 8);

/** The first steps of a case, as a case of its own. */
export function prefixOf({ id, title, criterion, steps }: Case, length: number): Case {
  const name = id.slice(criterion.length + 1, id.lastIndexOf('-'));
  return makeCase(criterion, name, `${title} (the first ${length} steps)`, steps.slice(0, length));
}
