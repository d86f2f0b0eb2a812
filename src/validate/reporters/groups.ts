import type { Finding } from '../report.js';

/** Findings that say the same thing at different places. */
export interface FindingGroup {
  /** The first of them. */
  readonly first: Finding;
  readonly all: readonly Finding[];
}

/** Puts findings that differ only in place and device together, in the order in which they first came. */
export function groupFindings(findings: readonly Finding[]): FindingGroup[] {
  const groups = new Map<string, { first: Finding; all: Finding[] }>();
  for (const finding of findings) {
    const key = sameness(finding);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { first: finding, all: [finding] });
    else group.all.push(finding);
  }
  return [...groups.values()];
}

function sameness({ rule, level, host, file, device, message, before, expected, known }: Finding): string {
  const words = device === null ? message : message.replaceAll(device, '\0');
  return JSON.stringify([rule, level, host, file, words, before, expected, known]);
}
