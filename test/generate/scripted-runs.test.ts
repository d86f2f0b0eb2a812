import { describe, expect, test } from 'vitest';
import { FAULTS } from '../../devices/faults/index.js';
import { openTarget } from '../../devices/open-target.js';
import { generateSuite } from '../../src/generate/index.js';
import { type DeviceFacts, runSuite } from '../../src/run/index.js';
import type { Suite } from '../../src/suite/index.js';

const made = new Map<string, Suite>();

/** The suite for a device; those of one kind are made once. */
function suiteFor(facts: DeviceFacts): Suite {
  const key = JSON.stringify([facts.capabilities, [...facts.lacks]]);
  const known = made.get(key) ?? generateSuite({ ...facts, coverage: ['sessions', 'errors'] });
  made.set(key, known);
  return known;
}

/** The rules of failures, by the readable part of their cases' ids. */
async function failures(uri: string, wanted = (_case: string) => true) {
  const { report } = await runSuite({
    target: openTarget(uri),
    suite: (facts) => {
      const whole = suiteFor(facts);
      const cases = whole.cases.filter(({ id }) => wanted(name(id)));
      expect(cases).not.toEqual([]);
      return { ...whole, cases };
    },
    shrinkTries: 0,
    maxFailures: 1000,
  });
  return { report, rules: report.failures.map(({ case: id, rule }) => [name(id), rule] as const) };
}

const name = (id: string): string => id.slice(0, id.lastIndexOf('-'));

test.each([
  'mock:dma',
  'mock:uart',
  'mock:uart?capabilities=stop-copy,p2p',
  'mock:uart?capabilities=stop-copy,pre-copy',
  'mock:uart?capabilities=stop-copy',
  'mock:e810-vf?generation=a',
  'mock:e810-vf?generation=b',
])('%s passes every case', async (uri) => {
  const { report, rules } = await failures(uri);
  expect(rules).toEqual([]);
  expect(report).toMatchObject({ verdict: 'pass', skipped: [], passed: report.cases });
});

/** By fault: a case that sees it, and the rule that the report names. */
const SEEN: Readonly<Record<string, readonly [string, string]>> = {
  'read-restarts': ['sessions/reads/STOP_COPY/in-pieces', 'VFIO-SES-16'],
  'stream-padded': ['sessions/loads/whole>STOP', 'VFIO-SES-16'],
  'zero-at-temporary-end': ['sessions/reads/PRE_COPY_P2P/to-the-end', 'VFIO-PRE-01'],
  'read-odd-error': ['sessions/follows/PRE_COPY>RUNNING>STOP_COPY', 'VFIO-SES-19'],
  'pre-copy-read-fails': ['sessions/reads/PRE_COPY/at-once', 'VFIO-SES-19'],
  'precopy-info-everywhere': ['sessions/precopy-info/PRE_COPY', 'VFIO-PRE-03'],
  'precopy-flags-echoed': ['sessions/precopy-info/PRE_COPY', 'VFIO-PRE-06'],
  'truncation-unnoticed': ['sessions/loads/last-byte-missing>STOP', 'VFIO-SES-15'],
  'late-load': ['sessions/loads/first-byte-only>RUNNING', 'VFIO-SES-17'],
  'second-load-ignored': ['sessions/loads/second-truncated', 'VFIO-SES-15'],
  'fd-attached-after-resuming': ['sessions/ends/RESUMING>STOP', 'VFIO-SES-14'],
  'no-way-back': ['sessions/cancel/STOP_COPY', 'VFIO-FSM-14'],
  'pre-copy-once': ['sessions/cancel/PRE_COPY', 'VFIO-SES-18'],
  'save-once': ['sessions/saves/STOP_COPY>STOP', 'VFIO-FSM-15'],
  'file-left-by-reset': ['sessions/follows/RESUMING>RESET>STOP_COPY', 'VFIO-SES-18'],
  'fd-outlives-reset': ['sessions/ends/STOP_COPY>RESET', 'VFIO-SES-03'],
  'state-races-reset': ['sessions/reset/RESUMING', 'VFIO-RST-01'],
  'reset-lost': ['sessions/reset/STOP', 'VFIO-RST-01'],
  'log-ends-with-save': ['errors/dma-logging/save/PRE_COPY', 'VFIO-DMA-10'],
  'load-writes-memory': ['sessions/loads/whole>STOP', 'VFIO-QSC-02'],
};

/**
 * What needs a guest, that knows what its device and its memory should hold: a device that comes up dead or with
 * a changed state, memory that is written behind everybody's back, dirty pages that are not told.
 */
const GUEST_ONLY = [
  'halves-swapped',
  'not-unsuspended',
  'resumed-dead',
  'suspend-ignored',
  'saved-at-p2p',
  'report-shifted-by-start',
  'report-shifted',
  'report-lost-at-page-edge',
  'report-clean',
  'tracker-too-small',
];

describe('faults', () => {
  test.each(Object.entries(SEEN))('%s is seen without a guest', async (fault, [only, rule]) => {
    const { rules } = await failures(`mock:dma?fault=${fault}`, (id) => id === only);
    expect(rules.filter(([id]) => id === only).map(([, named]) => named)).toContain(rule);
  });

  test('each fault is one of those, or needs a guest', () => {
    const told = [...Object.keys(SEEN), ...GUEST_ONLY];
    expect(told.sort()).toEqual(FAULTS.map((fault) => fault.name).sort());
  });
});

/** What drivers are known to get wrong: the loads, and the ways that begin another session. */
const TELLING = /^sessions.(loads|saves|ends.RESUMING)/;

test.each([
  ['a', ['VFIO-SES-10', 'VFIO-SES-15', 'VFIO-SES-17']],
  ['b', ['VFIO-FSM-15', 'VFIO-SES-14', 'VFIO-SES-15', 'VFIO-SES-16', 'VFIO-SES-17']],
])('the published driver of generation %s is told its defects', async (generation, expected) => {
  const { rules } = await failures(`mock:e810-vf?personality=published&generation=${generation}`, (id) =>
    TELLING.test(id),
  );
  expect([...new Set(rules.map(([, rule]) => rule))].sort()).toEqual(expected);
});
