/**
 * Order and duplication within a flow of numbered frames. Plain data, so that it can stand in guest RAM or in
 * a migration stream; driver and wire each keep records of their own.
 */
export interface Sequence {
  /** One past the highest number that was seen. */
  next: number;
  /** Which of the 32 numbers below `next` were seen; bit 0 is `next - 1`. */
  window: number;
  /** Different numbers that were seen. */
  seen: number;
  duplicated: number;
  /** Numbers that came after a higher one. */
  reordered: number;
}

/** A flow of which nothing was seen. */
export const newSequence = (): Sequence => ({ next: 0, window: 0, seen: 0, duplicated: 0, reordered: 0 });

/** Enters the number of a frame. A number more than 32 below the highest counts as a duplicate. */
export function enter(sequence: Sequence, number: number): void {
  const ahead = number - sequence.next;
  if (ahead >= 0) {
    sequence.window = ahead >= 31 ? 1 : ((sequence.window << (ahead + 1)) | 1) >>> 0;
    sequence.next = number + 1;
    sequence.seen++;
    return;
  }
  const age = -1 - ahead;
  const bit = (1 << age) >>> 0;
  if (age >= 32 || (sequence.window & bit) !== 0) {
    sequence.duplicated++;
    return;
  }
  sequence.window = (sequence.window | bit) >>> 0;
  sequence.seen++;
  sequence.reordered++;
}
