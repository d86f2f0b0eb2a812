// How long suites take to make, next to the shortest paths of xstate/graph in the same chart and the same run.
//   node test/bench/generate.bench.mjs [--runs=N]
import { parseArgs } from 'node:util';
import { createTestModel } from 'xstate/graph';
import { CRITERION_NAMES, generateSuite } from '../../dist/generate/index.js';
import { CAPABILITY_SETS, machineNamed } from '../../dist/machines/index.js';

const { values } = parseArgs({ options: { runs: { type: 'string', default: '5' } } });
const runs = Number(values.runs);
/** What every criterion together, for one capability set, may take; milliseconds. */
const GOAL = 1000;

const capabilities = CAPABILITY_SETS[3];
const chart = machineNamed('vfio-device').make(capabilities);

/** Milliseconds of the first run and of the fastest one. */
function time(work) {
  const times = Array.from({ length: runs }, () => {
    const start = performance.now();
    work();
    return performance.now() - start;
  });
  return { first: times[0], best: Math.min(...times) };
}

const show = (name, { first, best }) =>
  console.log(
    `${name.padEnd(28)} first ${first.toFixed(0).padStart(6)} ms   best ${best.toFixed(1).padStart(8)} ms`,
  );

for (const name of CRITERION_NAMES) {
  if (name === 'guest') continue; // The target knows its scenarios.
  show(
    name,
    time(() => generateSuite({ capabilities, coverage: [name] })),
  );
}
const ours = time(() => generateSuite({ capabilities, coverage: CRITERION_NAMES }));
const graph = time(() => createTestModel(chart).getShortestPaths());
show('all criteria', ours);
show('xstate/graph shortest paths', graph);
console.log(`all criteria take 1/${(graph.best / ours.best).toFixed(1)} of the time of those paths`);
if (ours.best > GOAL) {
  console.error(`all criteria took ${ours.best.toFixed(0)} ms; the goal is ${GOAL} ms`);
  process.exitCode = 1;
}
