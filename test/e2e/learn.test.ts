import { expect, test } from 'vitest';
import { learnSchema } from '../../src/learn/index.js';
import { stopcopy } from '../support/cli.js';

test('a device that is right is equal to the protocol', () => {
  const { code, out } = stopcopy(['learn', '--target', 'mock:uart', '--diff', 'vfio-device', '--json']);
  expect(code).toBe(0);
  expect(learnSchema.parse(JSON.parse(out))).toMatchObject({ states: 7, differences: [], complete: true });
});

test('a fault is named by its arcs, with exit code 1', () => {
  const args = ['learn', '--target', 'mock:uart?fault=pre-copy-once', '--diff', 'vfio-device'];
  const { code, out } = stopcopy(args);
  expect(code).toBe(1);
  expect(out).toContain('in STOP, SET PRE_COPY: expected data_fd, now PRE_COPY');
  expect(out).toMatch(/verdict: DIFFERENT {2}\d+ differences/);
});

test('a budget that is used up gives exit code 3', () => {
  const { code, out } = stopcopy(['learn', '--target', 'mock:uart', '--budget', '50']);
  expect(code).toBe(3);
  expect(out).toContain('not complete: the budget');
});

test.each([
  [['learn', '--target', 'mock:none'], /mock:none/],
  [['learn', '--target', 'mock:uart', '--caps', 'p3p'], /unknown capability/],
])('%s is refused in one line', (args, words) => {
  const { code, err } = stopcopy(args);
  expect([code, err.trim().split('\n').length]).toEqual([2, 1]);
  expect(err).toMatch(words);
});
