import type { Case, Step } from '../suite/index.js';

/**
 * A case with a stable id: of the same steps, the same id, whatever else is in the suite.
 * @param name readable part of the id: letters, digits and `+.>_/-`
 */
export function makeCase(criterion: string, name: string, title: string, steps: Step[]): Case {
  return { id: `${criterion}/${name}-${hash(JSON.stringify(steps))}`, title, criterion, steps };
}

/** FNV-1a, 64 bits, of which the id needs 32. */
function hash(text: string): string {
  let value = 0xcbf29ce484222325n;
  for (let at = 0; at < text.length; at++) {
    value ^= BigInt(text.charCodeAt(at));
    value = BigInt.asUintN(64, value * 0x100000001b3n);
  }
  return (value >> 32n).toString(16).padStart(8, '0');
}

/** The first steps of a case, as a case of its own. */
export function prefixOf({ id, title, criterion, steps }: Case, length: number): Case {
  const name = id.slice(criterion.length + 1, id.lastIndexOf('-'));
  return makeCase(criterion, name, `${title} (the first ${length} steps)`, steps.slice(0, length));
}
