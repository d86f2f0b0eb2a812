import { describe, expect, test } from 'vitest';
import {
  faultText,
  type Mealy,
  type Mutant,
  mutants,
  type Observed,
  observed,
} from '../../src/automaton/index.js';
import { MODEL } from '../../src/generate/index.js';
import { mCompleteCases } from '../../src/generate/m-complete.js';
import { requestMachine } from '../../src/generate/request-machine.js';
import { CAPABILITY_SETS, type CapabilitySet, capabilityNames } from '../../src/machines/index.js';
import { runSuite } from '../../src/run/index.js';
import { SUITE_SCHEMA, type Suite } from '../../src/suite/index.js';
import { tableTarget } from './table-device.js';

/** The complete suites on live devices, each with one fault, run and judged as `stopcopy test` does it. */

const FULL = CAPABILITY_SETS[3]!;

function suiteOf(capabilities: CapabilitySet, extraStates: number, status = true): Suite {
  const { cases, guarantee } = mCompleteCases({ capabilities, method: 'hsi', extraStates, status });
  return {
    schema: SUITE_SCHEMA,
    model: MODEL,
    capabilities: capabilityNames(capabilities),
    coverage: ['m-complete'],
    guarantee,
    cases,
  };
}

async function verdictOf(machine: Mealy, suite: Suite, capabilities: CapabilitySet): Promise<string> {
  const target = tableTarget(machine, capabilities);
  const { report } = await runSuite({ target, suite, shrinkTries: 0, maxFailures: 1 });
  return report.verdict;
}

/** The fault changes the answer to a request for the state that the device is in to an errno. */
function isAllowed({ machine }: Observed, { fault: { state, input, wrong } }: Mutant): boolean {
  const refuses = 'output' in wrong && machine.outputs[wrong.output] === 'errno';
  return refuses && machine.inputs[input] === machine.states[state];
}

/** A reset has no way to give a data_fd. */
function canBe({ machine }: Observed, { fault: { input, wrong } }: Mutant): boolean {
  return !(
    'output' in wrong &&
    machine.outputs[wrong.output] === 'data_fd' &&
    machine.inputs[input] === 'RESET'
  );
}

describe.each(CAPABILITY_SETS.map((caps) => [capabilityNames(caps).join(', '), caps] as const))(
  '%s',
  (_, caps) => {
    const model = observed(requestMachine(caps, { status: true }), 'GET');

    test('a device that is right passes', async () => {
      expect(await verdictOf(model.machine, suiteOf(caps, 0), caps)).toBe('pass');
      expect(await verdictOf(model.machine, suiteOf(caps, 0, false), caps)).toBe('pass');
    });

    test('devices with one fault fail', async () => {
      const suite = suiteOf(caps, 0);
      const sample = [...mutants(model)].filter((mutant) => canBe(model, mutant));
      const passed: string[] = [];
      let tried = 0;
      for (const [number, mutant] of sample.entries()) {
        if (number % (caps === FULL ? 13 : 29) !== 0 || isAllowed(model, mutant)) continue;
        tried++;
        const verdict = await verdictOf(mutant.machine, suite, caps);
        if (verdict !== 'fail') passed.push(`${faultText(model.machine, mutant.fault)}: ${verdict}`);
      }
      expect(passed).toEqual([]);
      expect(tried).toBeGreaterThan(4);
    });
  },
);

describe('all capabilities', () => {
  const model = observed(requestMachine(FULL, { status: true }), 'GET');

  test('a request for the present state may be refused: those devices pass', async () => {
    const suite = suiteOf(FULL, 0);
    const allowed = [...mutants(model)].filter((mutant) => isAllowed(model, mutant));
    expect(allowed).toHaveLength(model.machine.states.length);
    for (const { machine, fault } of allowed)
      expect(await verdictOf(machine, suite, FULL), faultText(model.machine, fault)).toBe('pass');
  });

  test('a device that is right passes for k = 1', async () => {
    expect(await verdictOf(model.machine, suiteOf(FULL, 1), FULL)).toBe('pass');
  });

  test('devices with a fault behind a hidden state fail', async () => {
    const suite = suiteOf(FULL, 1);
    const all = [...mutants(model, 1)].filter((mutant) => canBe(model, mutant));
    const passed: string[] = [];
    let tried = 0;
    for (const [number, mutant] of all.entries()) {
      if (number % 461 !== 100 || isAllowed(model, mutant)) continue;
      tried++;
      const verdict = await verdictOf(mutant.machine, suite, FULL);
      if (verdict !== 'fail') passed.push(`${faultText(model.machine, mutant.fault)}: ${verdict}`);
    }
    expect(passed).toEqual([]);
    expect(tried).toBeGreaterThan(5);
  });
});
