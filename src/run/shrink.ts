/**
 * The shortest part of a sequence that still shows what the whole one showed: delta debugging, and then
 * step by step, so that no single step can be left out of the result.
 *
 * @param length of the sequence, which shows it
 * @param shows tries the steps with these places
 * @param attempts most tries
 * @returns the places of the steps that are left, and whether nothing more can be left out
 */
export async function shrink(
  length: number,
  shows: (kept: readonly number[]) => Promise<boolean>,
  attempts: number,
): Promise<{ kept: number[]; minimal: boolean; tries: number }> {
  let kept = Array.from({ length }, (_, index) => index);
  let tries = 0;
  for (let parts = 2; kept.length > 1; ) {
    const size = Math.ceil(kept.length / parts);
    let smaller: number[] | null = null;
    // The end of the sequence is where it shows: what stands at its beginning is left out first.
    for (let from = 0; from < kept.length && smaller === null; from += size) {
      if (tries >= attempts) return { kept, minimal: false, tries };
      const rest = kept.filter((_, at) => at < from || at >= from + size);
      tries++;
      if (rest.length > 0 && (await shows(rest))) smaller = rest;
    }
    if (smaller !== null) {
      kept = smaller;
      parts = Math.max(2, Math.min(parts - 1, kept.length));
    } else if (size === 1) break;
    else parts = Math.min(kept.length, parts * 2);
  }
  return { kept, minimal: true, tries };
}
