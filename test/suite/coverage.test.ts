import { describe, expect, it } from 'vitest';
import { lowerRequests } from '../../src/generate/steps.js';
import { CAPABILITY_SETS } from '../../src/machines/index.js';
import { CoverageMeter, planned } from '../../src/suite/index.js';

const capabilities = CAPABILITY_SETS[3]!;
const steps = lowerRequests(capabilities, ['STOP', 'STOP_COPY', 'PRE_COPY', 'RESET'], { status: true });

function measured(outcome: (planned: string) => string, scope = {}) {
  const meter = new CoverageMeter({ capabilities, rules: ['VFIO-RST-01', 'VFIO-SES-01'], ...scope });
  meter.add(planned({ steps }).map((each) => ({ ...each, outcome: outcome(each.outcome) })));
  return meter.coverage;
}

describe('coverage', () => {
  it('counts states, arcs on the way, requests, and two requests in a row', () => {
    expect(measured((outcome) => outcome)).toEqual({
      states: { reached: 3, total: 7 },
      arcs: { reached: 3, total: 15 },
      requests: { reached: 4, total: 63 },
      pairs: { reached: 3, total: 567 },
      rules: { reached: 2, total: 2 },
    });
  });

  it('of a run counts what was tried, and only the arcs of what succeeded', () => {
    const failed = measured((outcome) => outcome.replace(/^SET\.STOP_COPY.*/, 'FAIL.STOP_COPY.STOP'));
    expect(failed.arcs.reached).toBe(2);
    expect(failed.requests.reached).toBe(4);
  });

  it('has no RESET among the requests where the target has none', () => {
    const { requests, pairs } = measured((outcome) => outcome, { lacks: new Set(['reset']) });
    expect([requests.total, pairs.total]).toEqual([56, 448]);
  });

  it('begins anew with each case', () => {
    const meter = new CoverageMeter({ capabilities });
    for (const step of steps) meter.add(planned({ steps: [step] }));
    expect(meter.coverage.pairs.reached).toBe(0);
    expect(meter.coverage.requests.reached).toBe(4);
  });
});
