import { expect, test } from 'vitest';
import { ModelBuilder } from '../../src/explore/builder.js';
import { and, eq, gt, lt, minus, plus } from '../../src/explore/expression.js';
import { type Model, ModelError } from '../../src/explore/model.js';
import { dmaLogging } from '../../src/machines/dma-logging.js';
import { exploreNaively } from './naive.js';

const OPTIONS = { devices: 1, pages: 1, faults: 0, capabilities: [], variant: null };

/** A device that logs its writes, and pages that are written: small enough to count by hand. */
function logged(mutant = false): Model {
  const model = new ModelBuilder('logged', 'A log', OPTIONS);
  const log = model.component('log', dmaLogging());
  const dirty = model.variable('dirty', 'pages in the log', 2);
  const lost = model.variable('lost', 'a write was not logged', 1);
  model.action('log: START', { sync: [log.on('START.ok')] });
  model.action('log: REPORT', { sync: [log.on('REPORT.ok')], when: gt(dirty, 0), set: [dirty.to(0)] });
  model.action('device: write', {
    when: and(log.in('dma-logging', 'on'), lt(dirty, 2)),
    set: [dirty.to(plus(dirty, 1))],
    labels: ['dma'],
  });
  if (mutant) model.action('device: write unlogged', { labels: ['dma'], set: [lost.to(1)] });
  model.never('no-page-lost', 'No write is lost.', eq(lost, 1));
  model.neverStep('no-dma-unlogged', 'No DMA without log.', 'dma', log.in('dma-logging', 'off'));
  model.sometimes('full', 'The log is full.', eq(dirty, 2));
  model.sound(0);
  return model.build();
}

test('the plain explorer counts a model as by hand', () => {
  const result = exploreNaively(logged());
  // off; on with 0, 1 and 2 pages.
  expect(result).toMatchObject({ states: 4, edges: 5, depth: 3, dead: [] });
  expect([...result.broken]).toEqual([]);
});

test('a mutant is found on a shortest path', () => {
  const { broken } = exploreNaively(logged(true));
  expect([...broken]).toEqual([
    ['no-dma-unlogged', ['device: write unlogged']],
    ['no-page-lost', ['device: write unlogged']],
  ]);
});

test('the builder refuses what is not well formed', () => {
  const model = new ModelBuilder('wrong', 'Wrong', OPTIONS);
  const log = model.component('log', dmaLogging());
  const count = model.variable('count', 'a count', 1);
  expect(() => model.variable('log', 'again', 1)).toThrow(ModelError);
  expect(() => model.variable('wide', 'too wide', 256)).toThrow(ModelError);
  expect(() => log.on('NO.event')).toThrow("'log' knows no event 'NO.event'");
  expect(() => log.in('dma-logging', 'nowhere')).toThrow("has no state 'nowhere'");
  expect(() => model.action('twice', { set: [count.to(0), count.to(1)] })).toThrow('sets a variable twice');
  expect(() => model.action('unknown', { when: { variable: 'x' } })).toThrow("no variable 'x'");
  model.neverStep('labelled', 'A label that no action has.', 'dma', 1);
  expect(() => model.build()).toThrow("needs label 'dma'");
});

test('a value out of its range is an error of the model, not a state', () => {
  const model = new ModelBuilder('range', 'Range', OPTIONS);
  const count = model.variable('count', 'a count', 1);
  model.action('less', { set: [count.to(minus(count, 1))] });
  expect(() => exploreNaively(model.build())).toThrow("'less' sets count to -1; it holds 0 to 1");
});
