import { expect, test } from 'vitest';
import { explore } from '../../../src/explore/engine/explore.js';
import { benchmarkModel } from '../benchmark-model.js';
import { exploreNaively } from '../naive.js';

test('bench', async () => {
  const small = benchmarkModel(1, 2);
  const naive = exploreNaively(small);
  const r = await explore(small, { symmetry: false });
  console.log(naive.states, naive.edges, naive.depth, [...naive.broken.keys()], JSON.stringify(r));
  for (const [n, d] of [[2, 3],[3, 10],[3,60]] as const) {
    for (const symmetry of [false, true]) {
      const x = await explore(benchmarkModel(n, d), { symmetry });
      console.log(n, d, symmetry, x.verdict, x.states, x.edges, x.depth, JSON.stringify(x.statistics));
    }
  }
});
