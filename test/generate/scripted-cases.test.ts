import { describe, expect, test } from 'vitest';
import { step as next, REFUSED } from '../../src/automaton/index.js';
import { errorCases } from '../../src/generate/errors.js';
import { guestCases } from '../../src/generate/guest.js';
import { deviceAutomaton } from '../../src/generate/request-machine.js';
import { sessionCases } from '../../src/generate/sessions.js';
import { CAPABILITY_SETS, type CapabilitySet, capabilityNames } from '../../src/machines/index.js';
import { ruleNamed } from '../../src/rules/index.js';
import { type Case, caseSchema, type Step } from '../../src/suite/index.js';

const NONE: ReadonlySet<string> = new Set();
const casesFor = (capabilities: CapabilitySet, lacks = NONE): Case[] => [
  ...sessionCases({ capabilities, lacks }),
  ...errorCases({ capabilities, lacks }),
];
const SETS = CAPABILITY_SETS.map((caps) => [capabilityNames(caps).join('+'), caps] as const);

/** The state of the chart after an outcome: the same one when the chart has no such event. */
function stateAfter(caps: CapabilitySet, state: number, outcome: string): number {
  const automaton = deviceAutomaton(caps);
  const event = automaton.eventIndex.get(outcome);
  return event === undefined ? state : next(automaton, state, event);
}

describe.each(SETS)('%s', (_name, caps) => {
  const cases = casesFor(caps);

  test('a device that does what is likely is in the state that each step says, and in RUNNING at the end', () => {
    const { states } = deviceAutomaton(caps);
    for (const { id, steps } of cases) {
      let state = 0;
      for (const each of steps) {
        expect(states[state]![0], `${id}: ${JSON.stringify(each)}`).toBe(each.at);
        state = each.do === 'reopen' ? 0 : stateAfter(caps, state, each.expect[0]!);
        expect(state, `${id}: ${JSON.stringify(each)}`).not.toBe(REFUSED);
      }
      expect(states[state], id).toEqual(['RUNNING', 'none']);
    }
  });

  test('the chart allows every outcome that is expected, in some state that the outcomes before may have led to', () => {
    for (const { id, steps } of cases) {
      let states = [0];
      for (const each of steps) {
        const led = each.expect.map((outcome) => {
          const to = states
            .map((state) => stateAfter(caps, state, outcome))
            .filter((state) => state !== REFUSED);
          expect(to, `${id}: ${outcome} of ${JSON.stringify(each)}`).not.toEqual([]);
          return to;
        });
        states = each.do === 'reopen' ? [0] : [...new Set(led.flat())];
      }
    }
  });

  test('data_fds are used by their numbers, from when they come until they are closed', () => {
    for (const { id, steps } of cases) {
      const open: boolean[] = [];
      for (const each of steps) {
        for (const fd of fdsOf(each)) expect(open[fd], `${id}: ${JSON.stringify(each)}`).toBeDefined();
        if ('fd' in each) expect(open[each.fd], `${id}: ${JSON.stringify(each)}`).toBe(true);
        if (each.do === 'close') open[each.fd] = false;
        if (each.do === 'reopen') open.fill(false);
        if (each.expect[0]!.endsWith('.data_fd')) open.push(true);
      }
      expect(open, `${id}: closes what it was given`).not.toContain(true);
    }
  });

  test('ids are unique, and each case has the form of one', () => {
    expect(new Set(cases.map(({ id }) => id)).size).toBe(cases.length);
    for (const each of cases) expect(caseSchema.parse(each)).toEqual(each);
  });

  test('each step names a rule that does not bind the VMM, which is the runner', () => {
    for (const { steps } of cases)
      for (const { rule } of steps) expect(ruleNamed(rule)?.party, rule).toMatch(/^(driver|kernel)$/);
  });

  test('what the target lacks is not called', () => {
    const lacks = new Set(['reset', 'reopen', 'data_size', 'precopy_info', 'dma_logging', 'read_region']);
    const left = casesFor(caps, lacks);
    const called = new Set(left.flatMap(({ steps }) => steps.map((each) => each.do)));
    expect([...called].sort()).toEqual(['close', 'get', 'read', 'set', 'write']);
  });
});

function fdsOf(each: Step): number[] {
  const of = each.do === 'write' ? each.data.of : undefined;
  return of === undefined ? [] : [of];
}

/** Whoever has noted the id of a case finds it again: what follows changes only on purpose. */
test('the ids are those of earlier versions', () => {
  const made = SETS.map(
    ([name, caps]) =>
      `${name}\n  ${casesFor(caps)
        .map(({ id }) => id)
        .join('\n  ')}`,
  );
  return expect(`${made.join('\n')}\n`).toMatchFileSnapshot('scripted-cases.txt');
});

test('a scenario of the guest is a case', () => {
  const cases = guestCases({ scenarios: ['there-and-back', 'cut'] });
  expect(cases.map(({ steps }) => steps)).toEqual(
    ['there-and-back', 'cut'].map((name) => [
      { do: 'scenario', name, expect: ['SCENARIO.ok'], rule: 'VFIO-OUT-02', at: 'RUNNING' },
    ]),
  );
  for (const each of cases) expect(caseSchema.parse(each)).toEqual(each);
});
