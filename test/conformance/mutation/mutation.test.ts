import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { RULES } from '../../../src/rules/index.js';
import type { EventKind, TraceEvent } from '../../../src/trace/event.js';
import { readTrace } from '../../../src/trace/open.js';
import { qemuLogReader } from '../../../src/trace/readers/qemu-log.js';
import { validateEvents } from '../../../src/validate/index.js';
import { CONFORMANT_RUNS } from '../../support/conformant-runs.js';
import { mutate, seeded } from './mutate.js';
import { LAWS } from './naive-laws.js';
import { firstRefused } from './naive-machines.js';

/**
 * From each real trace that is conformant, broken ones are made. Whether the machines still allow a
 * mutant is decided by XState and naive sets; whether it keeps the laws of counting, by plain
 * re-tellings of them. The validator has to say the same of every single one.
 */
const ROOT = new URL('../../traces/', import.meta.url).pathname;

/** Mutants of each trace that the machines no longer allow; `npm run test:large` asks for 500. */
const BROKEN = Number(process.env.STOPCOPY_MUTANTS ?? 50);
/** Most mutants that are made to get there; most events of a trace move no machine. */
const MOST = 4000;

const FROM_MACHINES = new Set(RULES.filter((rule) => rule.refusal).map(({ id }) => id));
/**
 * Laws about errnos, sizes, flags, and the inside of guest and device, that these logs do not show, or that
 * no such mutation can break; and rules of other interfaces than VFIO, which these runs do not have.
 */
const NOT_IN_THESE_LOGS =
  /^(VFIO-(ARC-0[345]|FSM-(01|08|09|12|13|14)|SES-(08|10|12|15|17|18)|PRE-0[4567]|DMA-(0[4678]|10)|QSC-0[12]|OUT-0[1-7])|VMM-(MIG-01)|(VHOST|VDPA|SVQ|KVM|DIRTY)-.*)$/;

async function eventsOf(run: string): Promise<TraceEvent[]> {
  const events: TraceEvent[] = [];
  const logs = readdirSync(ROOT + run).filter((name) => /\.trace\.log(\.gz)?$/.test(name));
  for (const log of logs)
    await readTrace({ file: `${ROOT}${run}/${log}` }, { emit: (event) => events.push(event) });
  return events;
}

/** Kinds that were switched on: all, but for the dirty bitmap, whose event has another name in 10.0. */
function tracedIn(run: string): ReadonlySet<EventKind> {
  const kinds = new Set(qemuLogReader.shows);
  if (run.startsWith('qemu-10.0')) kinds.delete('dirty_bitmap');
  return kinds;
}

/** The rules that the validator finds broken, remarks left out. */
function broken(events: readonly TraceEvent[], traced: ReadonlySet<EventKind>): string[] {
  const { violations } = validateEvents(events, { traced });
  return [...new Set(violations.filter(({ level }) => level !== 'note').map(({ rule }) => rule))];
}

test('every rule that follows no machine is re-told, or cannot show in these logs', () => {
  const laws = RULES.filter((rule) => !rule.refusal && rule.level !== 'note').map(({ id }) => id);
  expect(laws.filter((id) => !NOT_IN_THESE_LOGS.test(id)).sort()).toEqual(Object.keys(LAWS).sort());
});

describe.each(CONFORMANT_RUNS)('%s', (run) => {
  test(`${BROKEN} mutants that the machines refuse, and all that they allow`, {
    timeout: 600_000,
  }, async () => {
    const events = await eventsOf(run);
    const traced = tracedIn(run);
    expect(firstRefused(events)).toBe(-1);
    expect(broken(events, traced)).toEqual([]);

    const random = seeded(run.length * 1009);
    const disagreements: string[] = [];
    let refused = 0;
    for (let made = 0; made < MOST && refused < BROKEN; made++) {
      const mutant = mutate(events, random);
      const found = broken(mutant.events, traced);
      const at = firstRefused(mutant.events);
      if (at >= 0) {
        refused++;
        if (!found.some((rule) => FROM_MACHINES.has(rule)))
          disagreements.push(`${mutant.what}: refused at ${at} (${mutant.events[at]!.kind}), not flagged`);
        continue;
      }
      const laws = Object.keys(LAWS).filter((rule) => needsMet(rule, traced) && LAWS[rule]!(mutant.events));
      if (laws.sort().join() !== found.sort().join())
        disagreements.push(
          `${mutant.what}: allowed; laws ${laws.join() || 'kept'}, flagged ${found.join() || 'nothing'}`,
        );
    }
    expect(disagreements).toEqual([]);
    expect(refused).toBe(BROKEN);
  });
});

/** A rule whose kinds of event the log never had is not observable in it. */
function needsMet(rule: string, traced: ReadonlySet<EventKind>): boolean {
  return RULES.find(({ id }) => id === rule)!.needs.every((kind) => traced.has(kind));
}
