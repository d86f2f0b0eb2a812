// How fast dirty bitmaps are harvested and dirty pages gathered, next to plain loops and C in the same run.
//   node test/bench/dirty-bitmap.bench.mjs [--megabytes=N] [--density=PER_10000] [--runs=N] [--ram=MEGABYTES]
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { PageBitmap } from '../../dist/migrate/dirty/index.js';
import { GuestRam, gatherPages, PAGE_SIZE, PageScan } from '../../dist/migrate/ram/index.js';

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '8' },
    density: { type: 'string', default: '100' },
    runs: { type: 'string', default: '60' },
    ram: { type: 'string', default: '256' },
  },
});
const bytes = Number(values.megabytes) << 20;
const pages = bytes * 8;
const density = Number(values.density);
const runs = Number(values.runs);
/** What the kernel is to be faster than the plain loop by, and what share of C's rate it is to reach. */
const GOALS = { plain: 4, c: 0.8, gather: 0.5 };

/** Pseudo-random numbers below 2^32, the same here and in C. */
let seed = 1;
function random() {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return seed >>> 0;
}

function fill(bitmap) {
  seed = 1;
  bitmap.clearAll();
  for (let left = Math.floor((pages * density) / 10_000); left > 0; left--) bitmap.set(random() % pages);
}

/** GB/s of the best run; `prepare` is not timed. */
function measure(size, work, prepare = () => {}) {
  let best = 0;
  let result;
  for (let run = 0; run < runs; run++) {
    prepare();
    const start = performance.now();
    result = work();
    best = Math.max(best, size / (performance.now() - start) / 1e6);
  }
  return { rate: best, result };
}

/** The usual way: 32-bit words, a sum of bits for each. */
function plainCount(words) {
  let sum = 0;
  for (let at = 0; at < words.length; at++) sum += ones(words[at]);
  return sum;
}

function plainHarvest(into, from) {
  let sum = 0;
  for (let at = 0; at < from.length; at++) {
    const word = from[at];
    if (word === 0) continue;
    const before = into[at];
    into[at] = before | word;
    sum += ones(word & ~before);
    from[at] = 0;
  }
  return sum;
}

function ones(word) {
  let sum = word - ((word >>> 1) & 0x55555555);
  sum = (sum & 0x33333333) + ((sum >>> 2) & 0x33333333);
  return Math.imul((sum + (sum >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

const C = `
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#define WORDS (${bytes}ul / 8)
static uint64_t now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000ull + t.tv_nsec; }
static uint32_t seed;
static uint32_t rnd(void) { seed ^= seed << 13; seed ^= seed >> 17; seed ^= seed << 5; return seed; }
static void fill(uint64_t *map) {
  seed = 1;
  memset(map, 0, WORDS * 8);
  for (uint64_t left = WORDS * 64 * ${density} / 10000; left > 0; left--) { uint64_t p = rnd() % (WORDS * 64); map[p / 64] |= 1ull << (p % 64); }
}
__attribute__((noinline)) static uint64_t count(const uint64_t *a) {
  uint64_t sum = 0;
  for (size_t i = 0; i < WORDS; i++) sum += __builtin_popcountll(a[i]);
  return sum;
}
__attribute__((noinline)) static uint64_t harvest(uint64_t *into, uint64_t *from) {
  uint64_t sum = 0;
  for (size_t i = 0; i < WORDS; i++) {
    if (from[i] == 0) continue;
    sum += __builtin_popcountll(from[i] & ~into[i]);
    into[i] |= from[i];
    from[i] = 0;
  }
  return sum;
}
int main(void) {
  uint64_t *a = aligned_alloc(64, WORDS * 8), *b = aligned_alloc(64, WORDS * 8), n = 0, m = 0;
  uint64_t best[2] = { ~0ull, ~0ull };
  uint64_t *content = malloc(WORDS * 8);
  fill(content);
  for (int run = 0; run < ${runs}; run++) {
    memcpy(a, content, WORDS * 8);
    uint64_t t = now(); n = count(a); t = now() - t;
    if (t < best[0]) best[0] = t;
    memset(b, 0, WORDS * 8);
    t = now(); m = harvest(b, a); t = now() - t;
    if (t < best[1]) best[1] = t;
  }
  printf("%f %f %llu %llu\\n", (double)WORDS * 8 / best[0], (double)WORDS * 8 / best[1], (unsigned long long)n, (unsigned long long)m);
}`;

/** Rates of C, with the processor's popcnt; undefined where there is no compiler. */
function inC() {
  const scratch = mkdtempSync(join(tmpdir(), 'stopcopy-bench-'));
  const [source, program] = [join(scratch, 'bitmap.c'), join(scratch, 'bitmap')];
  writeFileSync(source, C);
  const flags = process.arch === 'x64' ? ['-O2', '-mpopcnt'] : ['-O2'];
  const compiled = spawnSync('cc', [...flags, '-o', program, source], { encoding: 'utf8' });
  const ran = compiled.status === 0 ? spawnSync(program, { encoding: 'utf8' }) : undefined;
  rmSync(scratch, { recursive: true, force: true });
  if (ran?.status !== 0) return undefined;
  const [count, harvest, counted, harvested] = ran.stdout.split(' ').map(Number);
  return { count, harvest, counted, harvested };
}

/** Runs the kernel often on little, so that its fast code is there when it is measured. */
async function warmUp() {
  const [from, into] = [new PageBitmap(1 << 16), new PageBitmap(1 << 16)];
  for (let round = 0; round < 20_000; round++) {
    from.setRange(round % 60_000, 100);
    from.count();
    into.mergeFrom(from);
  }
  await new Promise((resolve) => setTimeout(resolve, 200));
}

function bitmaps() {
  const [from, into] = [new PageBitmap(pages), new PageBitmap(pages)];
  fill(from);
  const content = from.bytes.slice(0, bytes);
  const count = measure(bytes, () => from.count());
  const prepare = () => {
    from.bytes.set(content);
    into.clearAll();
  };
  const harvest = measure(bytes, () => into.mergeFrom(from), prepare);
  const [words, other] = [new Int32Array(bytes / 4), new Int32Array(bytes / 4)];
  const copy = () => {
    new Uint8Array(words.buffer).set(content);
    other.fill(0);
  };
  copy();
  const plainCounted = measure(bytes, () => plainCount(words));
  const plainHarvested = measure(bytes, () => plainHarvest(other, words), copy);
  const c = inC();
  const results = [count.result, harvest.result, plainCounted.result, plainHarvested.result];
  if (c !== undefined) results.push(c.counted, c.harvested);
  if (new Set(results).size !== 1) throw new Error(`not all count the same: ${results.join(' ')}`);
  return [
    { name: 'count', rate: count.rate, plain: plainCounted.rate, c: c?.count },
    { name: 'harvest', rate: harvest.rate, plain: plainHarvested.rate, c: c?.harvest },
  ];
}

/** Half of the pages of RAM have content, the rest was never written. */
function gather() {
  const ram = new GuestRam(Number(values.ram) << 20);
  const content = new Uint8Array(PAGE_SIZE).fill(7);
  for (let page = 0; page < ram.pages; page++) if (page % 64 < 32) ram.write(page * PAGE_SIZE, content);
  const dirty = new PageBitmap(ram.pages);
  const buffer = new Uint8Array(1 << 20);
  const size = (ram.pages / 2) * PAGE_SIZE;
  const all = () => {
    const scan = new PageScan(dirty, ram);
    let normal = 0;
    for (;;) {
      const gathered = gatherPages(buffer, scan);
      if (gathered.bytes === 0) return normal;
      normal += gathered.normal;
    }
  };
  const gathered = measure(size, all, () => dirty.setAll());
  if (gathered.result !== ram.pages / 2) throw new Error(`${gathered.result} pages gathered`);
  const source = new Uint8Array(size);
  source.fill(7);
  const copied = measure(size, () => {
    for (let at = 0; at < size; at += buffer.length) buffer.set(source.subarray(at, at + buffer.length));
  });
  return { rate: gathered.rate, memcpy: copied.rate };
}

const number = (value) => (value === undefined ? '-' : value.toFixed(2)).padStart(8);
const times = (value) => (value === undefined ? '-' : `${value.toFixed(2)}x`).padStart(8);
let missed = 0;
const goal = (reached) => {
  if (!reached) missed++;
  return reached ? 'reached' : 'missed';
};

await warmUp();
console.log(
  `bitmaps of ${values.megabytes} MiB, ${density / 100} % of pages dirty; GB/s, best of ${runs}; Node ${process.versions.node}\n`,
);
console.log(`${''.padEnd(10)}  kernel   plain       C  / plain     / C`);
for (const { name, rate, plain, c } of bitmaps()) {
  const ofC = c === undefined ? undefined : rate / c;
  console.log(
    `${name.padEnd(8)}${number(rate)}${number(plain)}${number(c)}${times(rate / plain)}${times(ofC)}` +
      `   goals: ${GOALS.plain}x plain ${goal(rate / plain >= GOALS.plain)}` +
      (c === undefined ? '' : `, ${GOALS.c}x C ${goal(ofC >= GOALS.c)}`),
  );
}
const { rate, memcpy } = gather();
console.log(
  `\ngather pages of ${values.ram} MiB, half of them zero: ${rate.toFixed(2)} GB/s of content; memcpy ${memcpy.toFixed(2)} GB/s` +
    `   goal: ${GOALS.gather}x memcpy ${goal(rate / memcpy >= GOALS.gather)} (${(rate / memcpy).toFixed(2)}x)`,
);
if (missed > 0) process.exitCode = 1;
