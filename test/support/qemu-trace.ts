import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { ROOT } from './cli.js';

/** The path of a bundled trace, whether it is compressed or not. */
export function tracePath(name: string): string {
  const path = join(ROOT, 'test/traces', name);
  return existsSync(path) ? path : `${path}.gz`;
}

/** The text of a bundled trace. */
export function traceText(name: string): string {
  const path = tracePath(name);
  const bytes = readFileSync(path);
  return (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1');
}

/** The lines of a bundled trace. */
export const traceLines = (name: string): string[] => traceText(name).trimEnd().split('\n');

/** The device of the bundled source logs. */
export const DEVICE = '11111111-1111-4111-8111-111111111111';

/** The name of device number `n`. */
export const deviceName = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;

/**
 * The log of a VM with many devices, made of one with a single device: each line about the device comes
 * once for each of them. `edit` may change or drop (`undefined`) such a line of device number `n`.
 */
export function* multiplied(
  lines: readonly string[],
  devices: number,
  edit: (line: string, n: number) => string | undefined = (line) => line,
): Generator<string> {
  for (const line of lines) {
    if (!line.includes(DEVICE)) {
      yield line;
      continue;
    }
    for (let n = 0; n < devices; n++) {
      const own = edit(line, n);
      if (own !== undefined) yield own.replaceAll(DEVICE, deviceName(n));
    }
  }
}
