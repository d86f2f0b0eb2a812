import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { MachineDescription } from '../../src/document/description.js';
import { capabilitiesOfFlags, capabilityNames } from '../../src/machines/capabilities.js';
import { DEFINED_MIGRATION_FLAGS, MIG_STATES, type MigState } from '../../src/uapi/vfio.js';

/** What Linux 7.2's own vfio_mig_get_next_state() answers: by flags, current and requested state. */
type KernelTable = Record<string, Record<MigState, Record<MigState, MigState | null>>>;

const kernel = JSON.parse(
  readFileSync(new URL('vfio-next-state.json', import.meta.url), 'utf8'),
) as KernelTable;
const cli = new URL('../../dist/cli/main.js', import.meta.url).pathname;

/** The hops that the kernel makes, by asking it again after each. */
function kernelPath(table: KernelTable[string], from: MigState, to: MigState): MigState[] | null {
  const hops: MigState[] = [];
  for (let state = from; state !== to; ) {
    const next = table[state][to];
    if (next === null) return null;
    hops.push(next);
    state = next;
    if (hops.length > MIG_STATES.length)
      throw new Error(`the kernel's table goes in a circle from ${from} to ${to}`);
  }
  return table[from][to] === null ? null : hops;
}

describe.each(DEFINED_MIGRATION_FLAGS)('migration flags %i', (flags) => {
  const caps = capabilityNames(capabilitiesOfFlags(flags)).join(',');
  const described = JSON.parse(
    execFileSync(process.execPath, [cli, 'describe', 'vfio-device', '--caps', caps, '--format', 'json'], {
      encoding: 'utf8',
    }),
  ) as MachineDescription;
  const table = kernel[String(flags)]!;

  test.each(MIG_STATES)('every request in %s', (from) => {
    for (const to of MIG_STATES) {
      const path = described.paths![from]![to];
      expect(path, `${from} -> ${to}`).toEqual(kernelPath(table, from, to));
      if (path && path.length > 0) expect(path[0]).toBe(table[from][to]);
    }
  });

  test('the arcs are the hops that lead there at once', () => {
    const direct = MIG_STATES.flatMap((from) =>
      MIG_STATES.filter((to) => from !== to && table[from][to] === to).map((to) => `${from} ${to}`),
    );
    expect(described.arcs.map((arc) => `${arc.from} ${arc.to}`).sort()).toEqual(direct.sort());
  });
});
