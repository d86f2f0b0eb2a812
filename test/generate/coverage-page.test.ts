import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Comparison, compare, comparePublished, coveragePage, type Published } from './coverage-page.js';

const PAGE = fileURLToPath(new URL('../../docs/coverage.md', import.meta.url));

let all: Comparison[];
let published: Published[];
beforeAll(() => {
  all = compare();
  published = comparePublished();
}, 60_000);

describe('our suites beside the shortest paths of xstate/graph', () => {
  test('both have the whole coverage', () => {
    for (const { criterion, ours, graph } of all) {
      const { reached, total } = ours.coverage[criterion];
      expect([reached, graph.coverage[criterion]]).toEqual([total, { reached: total, total }]);
    }
  });

  test('ours have the fewest steps that there can be, and never more than theirs', () => {
    for (const { ours, graph } of all) {
      expect(ours.steps).toBe(ours.lowerBound);
      expect(ours.steps).toBeLessThanOrEqual(graph.steps);
    }
  });

  test('of the published chart their paths are five times as long, and try fewer requests', () => {
    for (const { ours, events, requests } of published) {
      expect(ours.steps).toBeLessThanOrEqual(events / 5);
      expect(requests).toBeLessThan(ours.coverage.requests.reached);
    }
  });

  test('the page says so (after a change: npx vitest run test/generate/coverage-page.test.ts -u)', async () => {
    await expect(coveragePage(all, published)).toMatchFileSnapshot(PAGE);
  });
});
