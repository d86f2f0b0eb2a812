import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { namesOf } from '../../../src/explore/exports/names.js';
import { toTla } from '../../../src/explore/exports/tla.js';
import type { Model } from '../../../src/explore/model.js';
import { exploreNaively } from '../naive.js';
import { randomModel } from '../random-models.js';
import { engineOpinion, silent } from './opinions.js';
import { everything, logged, mayStay, response } from './small-models.js';
import { exploreTla, readTla } from './tla-reader.js';
import { brokenByTla } from './tla-verdicts.js';

async function sameInTla(model: Model): Promise<void> {
  const { states, edges, broken } = exploreNaively(model);
  const { module, config } = toTla(model);
  expect(exploreTla(readTla(module), config)).toMatchObject({ states, edges });
  const engine = await engineOpinion(model);
  const unheard = silent(model, 'naive');
  expect(engine.broken.filter((id) => !unheard.includes(id))).toEqual([...broken.keys()].sort());
  expect(brokenByTla(model)).toEqual(engine.broken.filter((id) => id !== 'every-event-happens'));
}

describe.each([
  ['logged', logged()],
  ['logged, mutant', logged(true)],
  ['everything', everything()],
  ['response', response()],
  ['may stay', mayStay()],
])('%s', (_, model) => {
  const exported = toTla(model);
  const file = (name: string) => exported.files.find((each) => each.name === name)?.text;

  test('has the same states and edges in TLA+, and the same verdicts', async () => {
    await sameInTla(model);
  });

  test('names what there is', () => {
    const names = namesOf(model);
    const module = readTla(exported.module);
    expect(exported.files[0]).toEqual({ name: `${names.module}.tla`, text: exported.module });
    expect(module.formulas.get('Spec')).toBe('Init /\\ [][Next]_vars');
    expect(module.formulas.get('vars')).toBe(`<< ${module.variables.join(', ')} >>`);
    for (const { name, text } of exported.files)
      if (name.endsWith('.tla')) expect(readTla(text).name).toBe(name.replace('.tla', ''));
  });

  test('has a module and a configuration for what happens at last', () => {
    const names = namesOf(model);
    const live = model.properties.filter((each) => 'fairness' in each);
    const text = file(`${names.module}_live.tla`);
    expect(text !== undefined).toBe(live.length > 0);
    if (text === undefined) return;
    const module = readTla(text);
    for (const { id, fairness } of live) {
      const name = names.properties.get(id)!;
      const classes = fairness.map((label) => `Live_${names.labels.get(label)}`);
      expect(module.formulas.get(`Spec_${name}`)).toBe(
        ['LiveSpec', ...classes.map((each) => `WF_lvars(${each})`)].join(' /\\ '),
      );
      for (const each of classes) expect(module.operators.has(each)).toBe(true);
      expect(module.formulas.get(name)).toContain(' ~> ');
      expect(file(`${names.module}_live_${name}.cfg`)).toBe(
        `SPECIFICATION Spec_${name}\nPROPERTY ${name}\nCHECK_DEADLOCK FALSE\n`,
      );
    }
  });
});

test('random models have the same states, edges and verdicts in TLA+', async () => {
  await fc.assert(fc.asyncProperty(randomModel, sameInTla), { numRuns: 30 });
});

test('a configuration of its own asks for witnesses', () => {
  const config = toTla(logged()).files.find(({ name }) => name === 'logged_witness.cfg');
  expect(config?.text).toContain('INVARIANT NoWitnessOf_p_full\n');
});

describe('the reader takes no text that TLC would refuse', () => {
  const module = (body: string) => `---- MODULE m ----\nEXTENDS Integers\nVARIABLES x, y\n${body}\n====\n`;
  const init = 'Init ==\n  /\\ x = 0\n  /\\ y = 0';
  const explore = (body: string) => () => exploreTla(readTla(module(`${init}\n${body}`)), '');

  test.each([
    ['a variable left open', "Next ==\n  \\/ a\na ==\n  /\\ x' = 1", 'leaves a variable open'],
    ['an unknown name', "Next ==\n  \\/ a\na ==\n  /\\ z = 1\n  /\\ x' = 1", "'z' is not defined"],
    ['truth as a number', "Next ==\n  \\/ a\na ==\n  /\\ x' = (x = y)", 'is no number'],
    ['a number as truth', 'Next ==\n  \\/ a\na ==\n  /\\ x', 'is no truth value'],
    ['two signs without order', 'Next ==\n  \\/ x = 1 /\\ y = 1 \\/ x = 2', 'cannot read on'],
    ['the same name twice', 'a == 1\na == 2', 'defined twice'],
  ])('%s', (_, body, message) => {
    expect(explore(body)).toThrow(message);
  });
});
