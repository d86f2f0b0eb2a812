import { expect, test } from 'vitest';
import { CRITERION_NAMES, generateSuite, makeCase } from '../../src/generate/index.js';
import { CAPABILITY_SETS, capabilityNames } from '../../src/machines/index.js';

/** Whoever has noted the id of a case finds it again: what follows changes only on purpose. */
test('the walks are those of earlier versions', async () => {
  const made = CAPABILITY_SETS.flatMap((capabilities) =>
    (['states', 'arcs', 'requests', 'pairs', 'random'] as const).map((criterion) => {
      const { cases } = generateSuite({ capabilities, coverage: [criterion] });
      const ids = cases.map(({ id }) => id);
      const digest = makeCase('', '', '', ids as never).id.slice(2);
      const shown = ids.length > 6 ? [...ids.slice(0, 2), '...', ids.at(-1)] : ids;
      return `${capabilityNames(capabilities).join('+')} ${criterion}: ${ids.length} ${digest}\n  ${shown.join('\n  ')}`;
    }),
  );
  await expect(`${made.join('\n')}\n`).toMatchFileSnapshot('stable.txt');
});

test('the id of a case does not depend on what else is in the suite', () => {
  const capabilities = CAPABILITY_SETS[3]!;
  const coverage = CRITERION_NAMES;
  const together = generateSuite({ capabilities, coverage, scenarios: ['there-and-back'] }).cases;
  const apart = coverage.flatMap(
    (each) => generateSuite({ capabilities, coverage: [each], scenarios: ['there-and-back'] }).cases,
  );
  expect(together).toEqual(apart);
});

test('other steps have another id', () => {
  const [one] = generateSuite({ capabilities: CAPABILITY_SETS[3]!, coverage: ['arcs'] }).cases;
  const id = (steps: NonNullable<typeof one>['steps']) => makeCase('arcs', 'x', 'title', steps).id;
  expect(id(one!.steps)).toBe(makeCase('arcs', 'x', 'other title', one!.steps).id);
  expect(id(one!.steps.slice(1))).not.toBe(id(one!.steps));
});
