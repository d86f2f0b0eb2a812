import type { Verdict } from '../validate/report.js';

/** Exit codes of every command. */
export const EXIT = {
  /** Conformant, or done. */
  ok: 0,
  /** Violations were found. */
  violation: 1,
  /** Bad usage or unreadable input. */
  usage: 2,
  /** Nothing relevant was seen, so nothing can be said. */
  inconclusive: 3,
} as const;

export const EXIT_OF_VERDICT: Readonly<Record<Verdict, number>> = {
  conformant: EXIT.ok,
  violation: EXIT.violation,
  inconclusive: EXIT.inconclusive,
};

/** The command line asks for something that does not exist. The message is one line for people. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
