import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { TraceEvent } from '../../src/trace/event.js';
import { qemuLogReader } from '../../src/trace/readers/qemu-log.js';
import { validateEvents } from '../../src/validate/index.js';
import { CONFORMANT_RUNS } from '../support/conformant-runs.js';
import { feed, trace } from '../trace/feed.js';
import { seeded } from './mutation/mutate.js';

/**
 * People switch on some trace events and not others. What is missing then is no fault of anybody: a
 * conformant migration has to stay without findings, whichever events its logs lack.
 */
const ROOT = new URL('../traces/', import.meta.url).pathname;
const SUBSETS = 40;

const NAME = /^(?:\S+Z |\d+@[\d.]+:)?([a-z]\w+) /;
const nameOf = (line: string): string => NAME.exec(line)?.[1] ?? '';

/** The lines of both hosts' logs. */
function logsOf(run: string): { host: string; lines: string[] }[] {
  return readdirSync(ROOT + run)
    .filter((name) => /\.trace\.log(\.gz)?$/.test(name))
    .map((name) => ({
      host: name.split('.')[0]!,
      lines: trace(`${run}/${name}`).toString('utf8').split('\n'),
    }));
}

describe.each(CONFORMANT_RUNS)('%s', (run) => {
  const logs = logsOf(run);
  const names = [...new Set(logs.flatMap(({ lines }) => lines.map(nameOf)))];
  const random = seeded(run.length);

  test(`${SUBSETS} subsets of its trace events`, () => {
    const alarms: string[] = [];
    for (let round = 0; round < SUBSETS; round++) {
      const share = [0.1, 0.3, 0.6][round % 3]!;
      const off = new Set(names.filter(() => random() < share));
      const events: TraceEvent[] = logs.flatMap(
        ({ host, lines }) =>
          feed(qemuLogReader, lines.filter((line) => !off.has(nameOf(line))).join('\n'), { host }).events,
      );
      const { violations } = validateEvents(events, { shows: qemuLogReader.shows });
      const found = violations
        .filter(({ level }) => level !== 'note')
        .map(({ rule, message }) => `${rule}: ${message}`);
      if (found.length > 0) alarms.push(`${[...new Set(found)].join('; ')} without ${[...off].join(' ')}`);
    }
    expect(alarms).toEqual([]);
  });
});
