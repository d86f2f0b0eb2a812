// How fast pages are marked in a vhost dirty log and how fast it is harvested, next to plain loops and C in the
// same run; and what goes through the proxy, next to socat.
//   node test/bench/vhost.bench.mjs [--megabytes=N] [--density=PER_10000] [--runs=N] [--messages=N]
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { DirtyLog, markPages } from '../../dist/vhost/index.js';

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '8' },
    density: { type: 'string', default: '10' },
    runs: { type: 'string', default: '30' },
    messages: { type: 'string', default: '4000' },
  },
});
const bytes = Number(values.megabytes) << 20;
const pages = bytes * 8;
const runs = Number(values.runs);
const messages = Number(values.messages);
const MARKS = 1 << 18;
const folder = mkdtempSync(join(tmpdir(), 'stopcopy-bench-'));

let seed = 1;
function random() {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return seed >>> 0;
}

/** Units a second of the best run; `prepare` is not timed. */
function measure(units, work, prepare = () => {}) {
  let best = 0;
  for (let run = 0; run < runs; run++) {
    prepare();
    const start = performance.now();
    work();
    best = Math.max(best, (1000 * units) / (performance.now() - start));
  }
  return best;
}

/** Writes of a back end: frames of up to 1526 bytes anywhere in guest memory. */
const addresses = Float64Array.from({ length: MARKS }, () => (random() % pages) * 4096 + (random() & 0xfff));
const lengths = Int32Array.from({ length: MARKS }, () => 1 + (random() % 1526));
// The last page has a neighbour.
const log = new Uint8Array(bytes + 8);
const into = new Uint8Array(bytes + 8);

function plainMark() {
  for (let n = 0; n < MARKS; n++) {
    const last = Math.floor((addresses[n] + lengths[n] - 1) / 4096);
    for (let page = Math.floor(addresses[n] / 4096); page <= last; page++) log[page >>> 3] |= 1 << (page & 7);
  }
}

function ownMark() {
  for (let n = 0; n < MARKS; n++) markPages(log, addresses[n], lengths[n]);
}

function fill() {
  seed = 7;
  log.fill(0);
  for (let left = Math.floor((pages * Number(values.density)) / 10_000); left > 0; left--) {
    const page = random() % pages;
    log[page >>> 3] |= 1 << (page & 7);
  }
}

function plainHarvest() {
  for (let at = 0; at < log.length; at++) {
    if (log[at] === 0) continue;
    into[at] |= log[at];
    log[at] = 0;
  }
}

const C = `
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
static uint32_t seed = 1;
static uint32_t rnd(void) { seed ^= seed << 13; seed ^= seed >> 17; seed ^= seed << 5; return seed; }
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
int main(int argc, char **argv) {
  size_t bytes = strtoul(argv[1], 0, 10), marks = strtoul(argv[2], 0, 10), pages = bytes * 8;
  int runs = atoi(argv[3]), density = atoi(argv[4]);
  uint8_t *log = aligned_alloc(4096, bytes + 4096), *into = aligned_alloc(4096, bytes + 4096);
  uint64_t *at = malloc(8 * marks); uint32_t *len = malloc(4 * marks);
  memset(log, 0, bytes + 4096); memset(into, 0, bytes + 4096);
  for (size_t n = 0; n < marks; n++) { at[n] = (uint64_t)(rnd() % pages) * 4096; at[n] += rnd() & 0xfff; }
  for (size_t n = 0; n < marks; n++) len[n] = 1 + rnd() % 1526;
  double mark = 0, harvest = 0;
  for (int run = 0; run < runs; run++) {
    double start = now();
    for (size_t n = 0; n < marks; n++) {
      uint64_t last = (at[n] + len[n] - 1) / 4096;
      for (uint64_t p = at[n] / 4096; p <= last; p++) __atomic_fetch_or(log + p / 8, 1 << p % 8, __ATOMIC_RELAXED);
    }
    double rate = marks / (now() - start);
    if (rate > mark) mark = rate;
  }
  for (int run = 0; run < runs; run++) {
    seed = 7; memset(log, 0, bytes);
    for (size_t left = pages / 10000 * density; left > 0; left--) { uint32_t p = rnd() % pages; log[p / 8] |= 1 << p % 8; }
    double start = now();
    uint64_t *from = (uint64_t *)log, *to = (uint64_t *)into;
    for (size_t word = 0; word < bytes / 8; word++)
      if (from[word]) to[word] |= __atomic_exchange_n(from + word, 0, __ATOMIC_RELAXED);
    double rate = bytes / (now() - start);
    if (rate > harvest) harvest = rate;
  }
  printf("{\\"mark\\":%f,\\"harvest\\":%f}", mark, harvest);
  return into[bytes / 2] == 255;
}`;

/** The same in C, or null without a compiler. */
function inC() {
  writeFileSync(join(folder, 'log.c'), C);
  const program = join(folder, 'log');
  if (spawnSync('cc', ['-O2', '-o', program, join(folder, 'log.c')]).status !== 0) return null;
  const words = [bytes, MARKS, runs, values.density].map(String);
  return JSON.parse(spawnSync(program, words, { encoding: 'utf8' }).stdout);
}

const millions = (rate) => `${(rate / 1e6).toFixed(1)} M/s`;
const gigabytes = (rate) => `${(rate / 1e9).toFixed(2)} GB/s`;
const times = (a, b) => `${(a / b).toFixed(2)} x`;

const mark = { plain: measure(MARKS, plainMark), own: measure(MARKS, ownMark) };
const harvest = {
  plain: measure(bytes, plainHarvest, fill),
  own: measure(bytes, () => new DirtyLog({ bytes: log }).moveTo(into), fill),
};
const c = inC();
console.log(
  `dirty log of ${values.megabytes} MiB, ${MARKS} writes of frames; harvest of ${values.density} dirty pages in 10,000`,
);
console.log(
  `  mark     ${millions(mark.own)}, atomic; plain loop, not atomic ${millions(mark.plain)} (${times(mark.own, mark.plain)})`,
);
console.log(
  `  harvest  ${gigabytes(harvest.own)}; plain loop ${gigabytes(harvest.plain)} (${times(harvest.own, harvest.plain)})`,
);
if (c === null) console.log('  C        no compiler here');
else
  console.log(
    `  C        mark ${millions(c.mark)} (we ${times(mark.own, c.mark)}), harvest ${gigabytes(c.harvest)} (we ${times(harvest.own, c.harvest)})`,
  );

/** A back end that answers each GET_CONFIG with what it was asked. */
const PAYLOAD = 268;
const message = Buffer.alloc(12 + PAYLOAD);
message.writeUInt32LE(24, 0);
message.writeUInt32LE(1, 4);
message.writeUInt32LE(PAYLOAD, 8);
message.writeUInt32LE(256, 16);
const answer = Buffer.from(message);
answer.writeUInt32LE(5, 4);

async function backEnd(path) {
  const server = createServer((socket) => {
    let left = 0;
    socket.on('data', (block) => {
      left += block.length;
      const whole = Math.floor(left / message.length);
      left -= whole * message.length;
      for (let n = 0; n < whole; n++) socket.write(answer);
    });
    socket.on('error', () => {});
  });
  server.listen(path);
  await once(server, 'listening');
  return server;
}

/** Messages a second with so many under way. */
async function through(path, underWay) {
  const socket = connect(path);
  await once(socket, 'connect');
  let [sent, got] = [0, 0];
  const start = performance.now();
  await new Promise((resolve, reject) => {
    const send = () => {
      while (sent < messages && sent - got / answer.length < underWay) {
        socket.write(message);
        sent++;
      }
    };
    socket.on('data', (block) => {
      got += block.length;
      if (got >= messages * answer.length) resolve();
      else send();
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the connection was closed')));
    send();
  });
  const rate = (1000 * messages) / (performance.now() - start);
  socket.removeAllListeners('close');
  socket.destroy();
  return rate;
}

async function waitFor(path) {
  for (let n = 0; n < 400 && !existsSync(path); n++) await sleep(50);
  await sleep(200);
}

/** Messages a second through a program between front end and back end, with 1 and with 64 under way. */
async function between(name, command, words) {
  const rates = [];
  // A program for each measurement: the proxy ends with its connection.
  for (const underWay of [1, 64]) {
    const [listen, behind] = [1, 2].map((n) => join(folder, `${name}-${underWay}-${n}.sock`));
    const server = await backEnd(behind);
    const child = spawn(command, words(listen, behind), { stdio: 'ignore' });
    const failed = once(child, 'error').catch(() => {});
    await Promise.race([waitFor(listen), failed]);
    if (!existsSync(listen)) return null;
    rates.push(await through(listen, underWay));
    child.kill();
    server.close();
  }
  return rates;
}

const main = new URL('../../dist/cli/main.js', import.meta.url).pathname;
const direct = await (async () => {
  const path = join(folder, 'direct.sock');
  const server = await backEnd(path);
  const rates = [await through(path, 1), await through(path, 64)];
  server.close();
  return rates;
})();
const proxy = await between('proxy', process.execPath, (listen, behind) => [
  main,
  ...['proxy', '--listen', listen, '--connect', behind],
]);
const socat = await between('socat', 'socat', (listen, behind) => [
  `UNIX-LISTEN:${listen},fork`,
  `UNIX-CONNECT:${behind}`,
]);
console.log(`messages of ${message.length} bytes and their answers, a second: one under way, and 64`);
const show = (name, rates) =>
  console.log(
    `  ${name.padEnd(8)} ${rates === null ? 'not to be had here' : rates.map((rate) => Math.round(rate)).join(', ')}`,
  );
show('direct', direct);
show('proxy', proxy);
show('socat', socat);
if (proxy !== null) {
  const added = 1e6 / proxy[0] - 1e6 / direct[0];
  console.log(`  the proxy adds ${added.toFixed(0)} microseconds to a round trip`);
  if (socat !== null)
    console.log(
      `  proxy / socat: ${times(proxy[0], socat[0])} one by one, ${times(proxy[1], socat[1])} with 64 under way`,
    );
}
rmSync(folder, { recursive: true });
process.exit(0);
