import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ModelBuilder } from '../../../src/explore/builder.js';
import { replay } from '../../../src/explore/counterexample/replay.js';
import { type Expression, eq, evaluate, lt, minus, plus } from '../../../src/explore/expression.js';
import { type ModelState, successors, valuation } from '../../../src/explore/interpret.js';
import type { Model, Property } from '../../../src/explore/model.js';
import type { Path } from '../../../src/explore/result.js';
import { dmaLogging } from '../../../src/machines/dma-logging.js';
import { claims, type Walk, walks } from './walks.js';

const OPTIONS = { devices: 0, pages: 0, faults: 0, capabilities: [], variant: null };

/** A ring of four places that can be left, and a log beside it. */
function ring(): Model {
  const model = new ModelBuilder('ring', 'A ring', OPTIONS);
  const log = model.component('log', dmaLogging());
  const at = model.variable('at', 'the place', 4);
  model.action('go', { when: lt(at, 3), set: [at.to(plus(at, 1))], labels: ['go'] });
  model.action('home', { when: eq(at, 3), set: [at.to(0)], labels: ['home'] });
  model.action('leave', { when: eq(at, 2), set: [at.to(4)], labels: ['leave'] });
  model.action('back', { set: [at.to(minus(at, 1))], when: log.in('dma-logging', 'on') });
  model.action('start', { sync: [log.on('START.ok')], when: eq(at, 0) });
  model.always('low', 'Never at 3.', lt(at, 3));
  model.never('third', 'Never at 3.', eq(at, 3));
  model.sometimes('witness', 'Once at 3.', eq(at, 3));
  model.neverStep('no-leave', 'Nobody leaves while the log is off.', 'leave', log.in('dma-logging', 'off'));
  model.leadsTo('ends', 'From 0 it comes to 4.', eq(at, 0), eq(at, 4), []);
  model.leadsTo('ends-if-fair', 'It comes to 4 when who can leave does.', eq(at, 0), eq(at, 4), ['leave']);
  model.leadsTo('two-leads-to-one', 'From 2 it comes to 1.', eq(at, 2), eq(at, 1), []);
  model.leadsTo('three-goes-home', 'It goes home when it can.', eq(at, 3), eq(at, 0), ['home']);
  model.leadsTo('goes-on', 'It goes on.', eq(at, 4), eq(at, 0), ['go', 'home', 'leave']);
  model.sound(0);
  return model.build();
}

const RING = ring();
const property = (id: string): Property => RING.properties.find((each) => each.id === id)!;
const path = (end: Path['end'], actions: readonly string[], loop: number | null = null): Path => ({
  actions,
  end,
  loop,
});
const [GO, THREE] = [
  ['go', 'go'],
  ['go', 'go', 'go'],
] as const;

test.each([
  ['low', path('state', THREE)],
  ['third', path('state', THREE)],
  ['witness', path('state', THREE)],
  ['no-leave', path('step', [...GO, 'leave'])],
  ['no-deadlock', path('deadlock', [...GO, 'leave'])],
  ['ends', path('cycle', [...THREE, 'home'], 0)],
  // To stay is fair when nobody asks for anything.
  ['ends', path('cycle', [], 0)],
  ['two-leads-to-one', path('cycle', GO, 2)],
  ['goes-on', path('cycle', [...GO, 'leave'], 3)],
])('%s is shown by %j', (id, run) => {
  expect(replay(RING, property(id), run).problem).toBe(null);
});

test.each([
  ['third', path('state', ['go', 'jump']), "step 2: no action is called 'jump'"],
  ['third', path('state', ['go', 'go', 'home']), "step 3: 'home' is not enabled"],
  ['third', path('state', ['start', 'back']), "step 2: ring: 'back' sets at to -1; it holds 0 to 4"],
  ['third', path('state', GO), 'the last state does not show it (third)'],
  ['low', path('state', GO), 'the last state does not show it (low)'],
  ['witness', path('state', []), 'the last state does not show it (witness)'],
  ['third', path('step', THREE), 'the end of the run is a step, not a state'],
  ['third', path('state', THREE, 0), 'a run that ends in a state has no cycle'],
  ['no-leave', path('step', GO), 'the last action is no leave'],
  ['no-leave', path('step', []), 'the last action is no leave'],
  ['no-leave', path('step', ['start', ...GO, 'leave']), 'the last action is allowed in the state before it'],
  ['no-deadlock', path('deadlock', GO), "'go' is enabled in the last state"],
  ['ends', path('cycle', THREE), 'the run has no cycle'],
  ['ends', path('cycle', THREE, 4), 'there is no step 5 at which a cycle could begin'],
  ['ends', path('cycle', THREE, -1), 'there is no step 0 at which a cycle could begin'],
  ['ends', path('cycle', THREE, 1), 'the cycle does not come back to the state before step 2'],
  ['ends', path('cycle', [...GO, 'leave'], 3), 'what should follow does follow, in the cycle after step 3'],
  // From 2 it comes to 1, if not before the end of the cycle then after its begin.
  [
    'two-leads-to-one',
    path('cycle', [...THREE, 'home'], 0),
    'what should follow does follow, in the cycle after step 1',
  ],
  ['three-goes-home', path('cycle', THREE, 3), 'the cycle is not fair to home'],
  ['three-goes-home', path('cycle', GO, 2), 'nothing asks for it, or what should follow does follow'],
  ['every-event-happens', path('state', []), 'no run shows that each event happens'],
])('%s is not shown by %j', (id, run, problem) => {
  expect(replay(RING, property(id), run).problem).toBe(problem);
});

test('the states on the way are given, as far as it went', () => {
  const { states } = replay(RING, property('third'), path('state', ['go', 'go', 'home']));
  expect(states.map(({ values }) => values.at)).toEqual([0, 1, 2]);
});

/** By definition, on the run itself: the cycle is gone round three times, which no state of it tells from more. */
function shows({ model, states }: Walk, of: Property, { actions, loop }: Path): boolean {
  const holds = (expression: Expression, state: ModelState): boolean =>
    evaluate(expression, valuation(model, state)) !== 0;
  const last = states.at(-1)!;
  const labelled = (name: string | undefined, label: string): boolean =>
    model.actions.some((each) => each.name === name && each.labels.includes(label));
  if ('step' in of) return labelled(actions.at(-1), of.step) && holds(of.when, states.at(-2)!);
  if ('deadlockUnless' in of) return successors(model, last).length === 0 && !holds(of.deadlockUnless, last);
  if ('of' in of) return holds(of.of, last) === (of.kind !== 'always');
  if ('everyAction' in of) return false;
  const round = states.slice(loop! + 1);
  const unrolled = [...states, ...round, ...round];
  // What is asked for in the last round is answered, if at all, in the same way as in the round before.
  const unanswered = [...states, ...round].some(
    (state, at) => holds(of.from, state) && !unrolled.slice(at).some((later) => holds(of.to, later)),
  );
  const enabled = (state: ModelState): string[] =>
    successors(model, state).flatMap((each) => each.action.labels);
  const fair = of.fairness.every(
    (label) =>
      actions.slice(loop!).some((name) => labelled(name, label)) ||
      states.slice(loop!).some((state) => !enabled(state).includes(label)),
  );
  return unanswered && fair;
}

test('runs of random models show what they show by definition, and nothing else', () => {
  const tally = new Map<string, number>();
  fc.assert(
    fc.property(walks(14), (walk) => {
      for (const each of walk.model.properties)
        for (const claim of claims(walk, each)) {
          const right = shows(walk, each, claim);
          expect(replay(walk.model, each, claim).problem === null).toBe(right);
          const key = `${claim.end} ${right}`;
          tally.set(key, (tally.get(key) ?? 0) + 1);
        }
    }),
    { numRuns: 600 },
  );
  const seen = ['cycle', 'deadlock', 'state', 'step'].flatMap((end) => [`${end} false`, `${end} true`]);
  expect([...tally.keys()].sort()).toEqual(seen);
});
