// How fast the engine of `explore` is, next to xstate/graph, Spin, and a search in C of the same model.
//   node test/bench/explore.bench.mjs [--devices=N] [--pages=N] [--xstate-pages=N]
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { getAdjacencyMap } from 'xstate/graph';
import { explore, toCSearch, toPromela, toXState } from '../../dist/explore/index.js';
import { benchmarkModel } from './explore-model.mjs';

const { values } = parseArgs({
  options: {
    devices: { type: 'string', default: '5' },
    pages: { type: 'string', default: '6' },
    'xstate-pages': { type: 'string', default: '25' },
  },
});
const GOALS = { xstate: 1000, spin: 3, symmetry: 20 };
const MEMORY = 4 * 2 ** 30;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');
/** Bytes of the heap that are in use. */
function heap() {
  collect();
  return process.memoryUsage().heapUsed;
}

const folder = mkdtempSync(join(tmpdir(), 'stopcopy-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const count = (value) => Math.round(value).toLocaleString('en-US');

function row(name, { states, edges, seconds, bytes }) {
  console.log(
    [
      name.padEnd(30),
      `${count(states).padStart(10)} states`,
      `${count(edges).padStart(12)} edges`,
      `${seconds.toFixed(2).padStart(8)} s`,
      `${count(states / seconds).padStart(10)} states/s`,
      `${count(edges / seconds).padStart(11)} edges/s`,
      `${count(bytes / states).padStart(7)} bytes/state`,
    ].join('  '),
  );
}

/** `explore()`, as it stands in the package; the best of some runs. */
async function engine(model, { symmetry = false, runs = 1 } = {}) {
  let best;
  for (let run = 0; run < runs; run++) {
    const result = await explore(model, { symmetry, memory: MEMORY });
    if (!result.complete) throw new Error(`the engine ended early: ${result.reason}`);
    const { states, edges, depth, statistics } = result;
    const bytes = statistics.bytesPerState * states;
    if (best === undefined || statistics.seconds < best.seconds)
      best = { states, edges, depth, seconds: statistics.seconds, bytes };
  }
  return best;
}

/** Why a program cannot be used here; null when it can. */
const missing = (program, version) =>
  spawnSync(program, [version], { stdio: 'ignore' }).status === 0 ? null : `there is no ${program} here`;

const compile = (flags, source, program) =>
  execFileSync('cc', ['-w', '-O2', ...flags, '-o', program, source], { cwd: folder });

function spin(model) {
  writeFileSync(join(folder, 'model.pml'), toPromela(model));
  const begun = performance.now();
  execFileSync('spin', ['-a', 'model.pml'], { cwd: folder });
  compile(['-DSAFETY', '-DNOREDUCE', '-DMEMLIM=16000'], 'pan.c', 'pan');
  const build = (performance.now() - begun) / 1000;
  const { stdout } = spawnSync('./pan', ['-m20000000', '-w24', '-n'], { cwd: folder, encoding: 'utf8' });
  const number = (pattern) => Number(pattern.exec(stdout)?.[1] ?? Number.NaN);
  if (!/errors: 0/.test(stdout) || /too small|out of memory/.test(stdout)) throw new Error(stdout);
  return {
    states: number(/(\S+) states, stored/),
    edges: number(/(\S+) transitions \(/) - 1,
    seconds: number(/elapsed time (\S+) seconds/),
    bytes: number(/(\S+)\s+total actual memory usage/) * 2 ** 20,
    build,
  };
}

function cSearch(model) {
  writeFileSync(join(folder, 'search.c'), toCSearch(model));
  compile([], 'search.c', 'search');
  const words = execFileSync('./search', { cwd: folder, encoding: 'utf8' }).trim().split(' ');
  const field = (name) => Number(words[words.indexOf(name) + 1]);
  return { states: field('states'), edges: field('edges'), seconds: field('seconds'), bytes: field('bytes') };
}

/** XState's exploration with its own options; of its edges, those whose event is enabled. */
function xstateGraph(model, edges) {
  const machine = toXState(model);
  const before = heap();
  const begun = performance.now();
  const map = getAdjacencyMap(machine);
  const seconds = (performance.now() - begun) / 1000;
  const bytes = heap() - before;
  return { states: Object.keys(map).length, edges, seconds, bytes };
}

function goal(words, reached, wanted) {
  const verdict = reached >= wanted ? 'reached' : 'missed';
  console.log(
    `goal: ${wanted}x ${words}: ${verdict}, ${reached >= 10 ? count(reached) : reached.toFixed(1)}x`,
  );
  if (reached < wanted) process.exitCode = 1;
}

function same(name, found, expected) {
  // Spin prints eight digits.
  const close = (a, b) => Math.abs(a - b) <= b * 1e-7;
  if (!close(found.states, expected.states) || !close(found.edges, expected.edges))
    throw new Error(`${name} counts ${found.states} and ${found.edges}: not what the engine does`);
}

const large = benchmarkModel(Number(values.devices), Number(values.pages));
const small = benchmarkModel(2, Number(values['xstate-pages']));

console.log(`${values.devices} devices, ${values.pages} pages`);
const whole = await engine(large);
row('engine', whole);
const c = missing('cc', '--version');
const noSpin = c ?? missing('spin', '-V');
let spinRun = null;
if (c === null) {
  const found = cSearch(large);
  same('the C search', found, whole);
  row('C search', found);
  console.log(`  the engine takes ${(whole.seconds / found.seconds).toFixed(1)}x the time of the C search`);
} else console.log(`C search: skipped, ${c}`);
if (noSpin === null) {
  spinRun = spin(large);
  same('Spin', spinRun, whole);
  row('Spin, depth first', spinRun);
  console.log(`  and ${spinRun.build.toFixed(1)} s for spin and cc`);
} else console.log(`Spin: skipped, ${noSpin}`);
const orbits = await engine(large, { symmetry: true });
row('engine, symmetry', orbits);

console.log(`\n2 devices, ${values['xstate-pages']} pages`);
const quick = await engine(small, { runs: 5 });
row('engine, best of 5', quick);
const graph = xstateGraph(small, quick.edges);
if (graph.states !== quick.states) throw new Error(`xstate/graph finds ${graph.states} states`);
row('xstate/graph getAdjacencyMap', graph);

console.log();
goal('xstate/graph, in time on the same model', graph.seconds / quick.seconds, GOALS.xstate);
console.log(
  `  in rates, the large model beside the small one: ${count((whole.edges / whole.seconds) * (graph.seconds / graph.edges))}x the edges/s, ` +
    `${count((whole.states / whole.seconds) * (graph.seconds / graph.states))}x the states/s`,
);
if (spinRun !== null) goal("Spin's depth-first search, in time", spinRun.seconds / whole.seconds, GOALS.spin);
goal(
  `fewer states by the symmetry of ${values.devices} devices`,
  whole.states / orbits.states,
  GOALS.symmetry,
);
