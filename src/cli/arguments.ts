import { InvalidArgumentError } from 'commander';

/** Parser of an option that takes names with commas between, and may be given several times. */
export function appendNames(value: string, before: string[]): string[] {
  const names = value.split(',').map((name) => name.trim());
  return [...before, ...names.filter((name) => name !== '')];
}

/** Parser of an option that takes a whole number. */
export function count(least: number, most: number): (value: string) => number {
  return (value) => {
    const number = /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN;
    if (number >= least && number <= most) return number;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}

const SHIFTS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** Parser of an option that takes a size in bytes: `65536`, `256M`, `4G`. */
export function size(value: string): number {
  const [, digits, suffix = ''] = /^(\d{1,13})([KMG]?)$/i.exec(value) ?? [];
  if (digits !== undefined) return Number(digits) * SHIFTS[suffix.toUpperCase()]!;
  throw new InvalidArgumentError('It must be a size such as 65536, 256M or 4G.');
}
