// What a proxy adds to a vhost-user round trip: requests and answers between this process and a back end, with
// nothing between them, with `stopcopy proxy`, with all that it can do beside, and with socat, which passes no
// descriptors; all in the same run.
//   node test/bench/vhost-user-proxy.bench.mjs [--trips=N] [--dist=FOLDER]
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    trips: { type: 'string', default: '10000' },
    dist: { type: 'string', default: fileURLToPath(new URL('../../dist', import.meta.url)) },
  },
});
const trips = Number(values.trips);
const dist = resolve(values.dist);
const main = join(dist, 'cli/main.js');
/** What a proxy may add to a round trip, in microseconds. */
const GOAL = 1000;

const { connectVhostUser } = await import(pathToFileURL(join(dist, 'vhost-user/index.js')).href);
const folder = mkdtempSync(join(tmpdir(), 'stopcopy-bench-'));
const path = (name) => join(folder, name);

async function started(command, args, socket) {
  const child = spawn(command, args, { stdio: 'ignore' });
  for (let tries = 0; !existsSync(socket); tries++) {
    if (tries > 200) throw new Error(`${command} ${args.join(' ')} does not listen`);
    await new Promise((done) => setTimeout(done, 50));
  }
  return child;
}

async function measure(socket) {
  const front = await connectVhostUser(socket);
  for (let trip = 0; trip < 1000; trip++) await front.getFeatures();
  const times = new Float64Array(trips);
  for (let trip = 0; trip < trips; trip++) {
    const begun = performance.now();
    await front.getFeatures();
    times[trip] = (performance.now() - begun) * 1000;
  }
  front.close();
  times.sort();
  const at = (share) => times[Math.floor(trips * share)];
  return { median: at(0.5), p99: at(0.99), worst: times[trips - 1] };
}

const WAYS = [
  ['no proxy', null],
  ['socat', (front, back) => ['socat', [`UNIX-LISTEN:${front}`, `UNIX-CONNECT:${back}`]]],
  ['proxy', (front, back) => [process.execPath, [main, 'proxy', '--listen', front, '--connect', back]]],
  [
    'proxy --record --validate',
    (front, back) => [
      process.execPath,
      [main, 'proxy', '--listen', front, '--connect', back, '--record', path('run.ndjson'), '--validate'],
    ],
  ],
];

const back = path('back.sock');
const server = await started(process.execPath, [main, 'serve', '--vhost-user', back], back);
let base;
try {
  console.log(`${trips} round trips of GET_FEATURES; microseconds`);
  for (const [name, way] of WAYS) {
    if (name === 'socat' && spawnSync('socat', ['-V']).error !== undefined) {
      console.log('socat: not installed');
      continue;
    }
    const front = path(`${name.replaceAll(/\W/g, '')}.sock`);
    const child = way === null ? null : await started(...way(front, back), front);
    const { median, p99, worst } = await measure(way === null ? back : front);
    base ??= { median, p99 };
    const added = `adds ${(median - base.median).toFixed(0)} at the median, ${(p99 - base.p99).toFixed(0)} at p99`;
    console.log(
      `${name.padEnd(26)} median ${median.toFixed(0).padStart(5)}  p99 ${p99.toFixed(0).padStart(5)}  worst ${worst.toFixed(0).padStart(6)}  ${added}`,
    );
    if (name.startsWith('proxy') && p99 - base.p99 > GOAL) {
      console.log(`${name} adds more than ${GOAL} microseconds`);
      process.exitCode = 1;
    }
    if (child !== null && child.exitCode === null) await new Promise((done) => child.once('exit', done));
  }
} finally {
  server.kill('SIGTERM');
  rmSync(folder, { recursive: true });
}
