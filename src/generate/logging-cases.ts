import { inSavingGroup, statesOf } from '../machines/index.js';
import { DMA_LOGGING_MAX_RANGES, DMA_LOGGING_MIN_PAGE_SIZE } from '../uapi/vfio.js';
import { type Demand, LoggingSteps } from './logging-steps.js';
import type { Scripts } from './script.js';
import { closeAll } from './session-reads.js';

const PAGE = DMA_LOGGING_MIN_PAGE_SIZE;
const range = (iova: number | bigint, length: number | bigint) => ({
  iova: `0x${iova.toString(16)}`,
  length: `0x${length.toString(16)}`,
});

/** What is logged where a case needs no other ranges. */
const BASE = 0x10_0000;
const LENGTH = 16 * PAGE;
const GOOD = { pageSize: PAGE, ranges: [range(BASE, LENGTH)] };
const WHOLE = { ...range(BASE, LENGTH), pageSize: PAGE };
/** The last page below 2^64: a range of two wraps. */
const LAST_PAGE = (1n << 64n) - BigInt(PAGE);

const BAD_RANGES: Demand = { must: 'refuse', rule: 'VFIO-DMA-04' };
const BAD_REPORT: Demand = { must: 'refuse', rule: 'VFIO-DMA-06' };

/** Ranges that the VFIO core refuses. */
const WRONG_RANGES = {
  none: [],
  'too-many': Array.from({ length: DMA_LOGGING_MAX_RANGES + 1 }, (_, at) =>
    range(BASE + 2 * at * PAGE, PAGE),
  ),
  'misaligned-iova': [range(BASE + 1, LENGTH)],
  'misaligned-length': [range(BASE, LENGTH + 1)],
  overlapping: [range(BASE, LENGTH), range(BASE + LENGTH - PAGE, LENGTH)],
  wrapping: [range(LAST_PAGE, 2 * PAGE)],
};

/** Device DMA logging: the good way, through a whole save as well, and what must be refused. */
export function loggingCases(scripts: Scripts): void {
  const add = (name: string, title: string, script: (log: LoggingSteps) => unknown) =>
    scripts.add(`dma-logging/${name}`, `DMA logging: ${title}`, (walk) => script(new LoggingSteps(walk)));

  add('good', 'start, report, stop, and all of it again', (log) => {
    for (let times = 0; times < 2; times++) log.start(GOOD).report(WHOLE).report(WHOLE).stop();
  });
  add('many-ranges', 'as many ranges as there may be', (log) =>
    log.start({ pageSize: PAGE, ranges: WRONG_RANGES['too-many'].slice(1) }).stop(),
  );
  for (const [name, ranges] of Object.entries(WRONG_RANGES))
    add(`ranges/${name}`, `START with wrong ranges, ${name}`, (log) =>
      log.start({ pageSize: PAGE, ranges }, BAD_RANGES).start(GOOD).report(WHOLE).stop(),
    );
  add('odd-page-size', 'START with a page size that has no meaning', (log) =>
    log.start({ ...GOOD, pageSize: PAGE + 1 }, { must: 'either', rule: 'VFIO-DMA-05' }).stop(),
  );
  add('second-start', 'START while it is on', (log) => log.start(GOOD).start(GOOD).report(WHOLE).stop());
  add('report-first', 'REPORT without START', (log) => log.report(WHOLE));
  add('report-after-stop', 'REPORT after STOP', (log) => log.start(GOOD).report(WHOLE).stop().report(WHOLE));
  add('stop-first', 'STOP without START', (log) => log.stop());
  for (const pageSize of [512, PAGE - 1, PAGE + 1, 3 * PAGE])
    add(`report-page-size/${pageSize}`, `REPORT with a page size of ${pageSize}`, (log) =>
      log
        .start(GOOD)
        .report({ ...WHOLE, pageSize }, BAD_REPORT)
        .report(WHOLE)
        .stop(),
    );
  add('report-outside', 'REPORT of what is not logged', (log) =>
    log
      .start(GOOD)
      .report({ ...range(BASE + LENGTH, LENGTH), pageSize: PAGE }, { must: 'either', rule: 'VFIO-DMA-07' })
      .report(WHOLE)
      .stop(),
  );
  add('report-wrapping', 'REPORT of a range that wraps', (log) =>
    log
      .start(GOOD)
      .report({ ...range(LAST_PAGE, 2 * PAGE), pageSize: PAGE }, BAD_REPORT)
      .report(WHOLE)
      .stop(),
  );
  add('reset', 'reset while it is on', (log) => log.start(GOOD).report(WHOLE).reset().stop());
  saves(scripts);
}

/** Logging goes on until STOP, whatever states the device goes through. */
function saves(scripts: Scripts): void {
  for (const state of statesOf(scripts.capabilities).filter(inSavingGroup))
    scripts.add(`dma-logging/save/${state}`, `DMA logging: it goes on through ${state} and back`, (walk) => {
      const log = new LoggingSteps(walk).start(GOOD).report(WHOLE);
      walk.set(state);
      log.report(WHOLE);
      if (state !== 'STOP_COPY') {
        walk.set('STOP_COPY');
        log.report(WHOLE);
      }
      walk.set('STOP');
      log.report(WHOLE, { must: 'take', rule: 'VFIO-DMA-10' });
      walk.set('RUNNING');
      log.report(WHOLE, { must: 'take', rule: 'VFIO-DMA-10' }).stop();
      closeAll(walk);
    });
}
