/**
 * Known deviations of implementations from the uAPI, as data: with a profile chosen, a verdict can say
 * "differs, as this implementation is known to", and the finding becomes a note.
 */
export interface Profile {
  readonly name: string;
  readonly title: string;
  /** By rule id: how the implementation differs. */
  readonly deviations: Readonly<Record<string, string>>;
}

export const PROFILES: readonly Profile[] = [];

/** How an implementation is known to differ from a rule, or undefined. */
export function profileDeviation(profile: string, rule: string): string | undefined {
  return PROFILES.find(({ name }) => name === profile)?.deviations[rule];
}
