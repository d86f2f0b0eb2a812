import { describe, expect, test } from 'vitest';
import { REFUSED, step } from '../../src/automaton/automaton.js';
import { compile } from '../../src/automaton/compile.js';
import { MACHINES } from '../../src/machines/index.js';
import { ChartError, chartStep, createMachine, initialConfiguration } from '../../src/machines/xstate.js';

const instances = MACHINES.flatMap((entry) =>
  entry.capabilitySets.map((caps) => [`${entry.name} ${JSON.stringify(caps)}`, entry.make(caps)] as const),
);

describe('the tables are the chart', () => {
  test.each(instances)('%s', (_name, machine) => {
    const automaton = compile(machine);
    expect(automaton.states[0]).toEqual(initialConfiguration(machine));
    const differences: string[] = [];
    for (const [number, configuration] of automaton.states.entries()) {
      for (const [index, event] of automaton.events.entries()) {
        const chart = chartStep(machine, configuration, event);
        const table = step(automaton, number, index);
        const after = table === REFUSED ? null : automaton.states[table];
        if (JSON.stringify(chart) !== JSON.stringify(after))
          differences.push(`${configuration} ${event}: chart ${chart}, table ${after}`);
      }
    }
    expect(differences).toEqual([]);
  });
});

describe('what tables cannot hold is refused with a code and a place', () => {
  const refuse = (config: object) => {
    try {
      compile(createMachine(config as never));
    } catch (error) {
      return error instanceof ChartError ? [error.code, error.place] : error;
    }
    return 'compiled';
  };
  test.each([
    ['delay', { id: 'm', initial: 'a', states: { a: { after: { 10: 'b' } }, b: {} } }, 'a'],
    ['history', { id: 'm', initial: 'a', states: { a: {}, h: { type: 'history' } } }, 'h'],
    ['nesting', { id: 'm', initial: 'a', states: { a: { initial: 'b', states: { b: {} } } } }, 'a'],
    ['eventless', { id: 'm', initial: 'a', states: { a: { always: 'b' }, b: {} } }, 'a'],
    [
      'guard',
      { id: 'm', initial: 'a', states: { a: { on: { X: { target: 'b', guard: () => true } } }, b: {} } },
      'a on X',
    ],
    ['context', { id: 'm', initial: 'a', states: { a: { on: { X: { actions: () => {} } } } } }, 'a on X'],
    ['actor', { id: 'm', initial: 'a', states: { a: { invoke: { src: 'x' } } } }, 'a'],
  ])('%s', (code, config, place) => {
    expect(refuse(config)).toEqual([code, place]);
  });
});
