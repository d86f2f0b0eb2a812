import type { Command } from 'commander';

/** Adds `--color` and `--no-color`. */
export function addColorOptions(command: Command): Command {
  return command
    .option('--color', 'colour even when the output is not a terminal')
    .option('--no-color', 'never colour');
}

/** Whether to colour standard output: what the user said, then NO_COLOR and FORCE_COLOR, then the terminal. */
export function wantsColor(
  asked: boolean | undefined,
  env = process.env,
  tty = process.stdout.isTTY,
): boolean {
  if (asked !== undefined) return asked;
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR && env.FORCE_COLOR !== '0') return true;
  return tty === true && env.TERM !== 'dumb';
}
