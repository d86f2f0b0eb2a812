// How fast a channel carries bytes to another process, next to a bare socket of Node that reads with `onread`
// and to one that reads by 'data' events, in the same run.
//   node test/bench/transport.bench.mjs [--size=MEGABYTES] [--block=KIB] [--runs=N] [--dist=FOLDER]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '2000' },
    block: { type: 'string', default: '256' },
    runs: { type: 'string', default: '5' },
    dist: { type: 'string', default: fileURLToPath(new URL('../../dist', import.meta.url)) },
  },
});
const total = Number(values.size) * 1_000_000;
const block = new Uint8Array(Number(values.block) * 1024).fill(0x5a);
const runs = Number(values.runs);
const entry = pathToFileURL(join(resolve(values.dist), 'transport/index.js')).href;
/** The share of the bare socket's speed that a channel is to reach. */
const GOAL = 0.95;

const { connect } = await import(entry);
const folder = mkdtempSync(join(tmpdir(), 'stopcopy-bench-'));

/** The receiving process: prints where it listens, takes one connection, prints how many bytes came. */
const CHANNEL = `
  const { listen, formatUri } = await import(${JSON.stringify(entry)});
  const listener = await listen(process.argv[1]);
  console.log(formatUri(listener.address));
  const channel = await listener.accept();
  const before = process.cpuUsage();
  let got = 0;
  await channel.receive((block) => { got += block.length; });
  const { user, system } = process.cpuUsage(before);
  console.log(got, user + system);
  channel.destroy();
  await listener.close();`;

/** Only a socket that connects can be given a buffer, so the receiver of the bare pair connects. */
const bare = (onread) => `
  import { connect } from 'node:net';
  let got = 0;
  const options = ${onread}
    ? { onread: { buffer: Buffer.allocUnsafeSlow(1 << 18), callback: (length) => { got += length; return true; } } }
    : {};
  const socket = connect({ ...JSON.parse(process.argv[1]), ...options });
  if (!${onread}) socket.on('data', (block) => { got += block.length; });
  const before = process.cpuUsage();
  socket.on('end', () => {
    const { user, system } = process.cpuUsage(before);
    console.log(got, user + system);
  });`;

/** A process whose lines of output can be waited for. */
function receiver(script, argument) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, argument], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = child.stdout.setEncoding('utf8').iterator();
  let text = '';
  return async () => {
    while (!text.includes('\n')) {
      const { value, done } = await lines.next();
      if (done) throw new Error('the receiver has ended');
      text += value;
    }
    const [line, ...rest] = text.split('\n');
    text = rest.join('\n');
    return line;
  };
}

/** GB/s, and CPU seconds of both processes for each GB: that one tells also on a busy host. */
async function timed(send, line) {
  const start = process.hrtime.bigint();
  const before = process.cpuUsage();
  await send();
  const [got, theirs] = (await line()).split(' ').map(Number);
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  const { user, system } = process.cpuUsage(before);
  if (got < total) throw new Error(`${got} of ${total} bytes came`);
  const gigabytes = got / 1e9;
  return { speed: gigabytes / seconds, cpu: (user + system + theirs) / 1e6 / gigabytes };
}

async function channelRun(uri) {
  const line = receiver(CHANNEL, uri);
  const channel = await connect(await line());
  const result = await timed(async () => {
    for (let sent = 0; sent < total; sent += block.length) {
      const busy = channel.write(block);
      if (busy !== undefined) await busy;
    }
    await channel.end();
  }, line);
  channel.destroy();
  return result;
}

async function bareRun(to, onread) {
  const server = createServer().listen(to);
  await once(server, 'listening');
  const at = to.path === undefined ? { ...to, port: server.address().port } : to;
  const line = receiver(bare(onread), JSON.stringify(at));
  const [socket] = await once(server, 'connection');
  socket.setNoDelay(true);
  const result = await timed(async () => {
    for (let sent = 0; sent < total; sent += block.length) {
      if (!socket.write(block)) await new Promise((done) => socket.once('drain', done));
    }
    socket.end();
  }, line);
  socket.destroy();
  server.close();
  return result;
}

let number = 0;
const path = () => join(folder, `s${number++}`);
const local = { host: '127.0.0.1', port: 0 };
const rows = [
  { kind: 'unix', name: "socket, 'data' events", run: () => bareRun({ path: path() }, false) },
  { kind: 'unix', name: 'socket, onread', run: () => bareRun({ path: path() }, true), base: true },
  { kind: 'unix', name: 'channel', run: () => channelRun(`unix:${path()}`), ours: true },
  { kind: 'tcp', name: "socket, 'data' events", run: () => bareRun(local, false) },
  { kind: 'tcp', name: 'socket, onread', run: () => bareRun(local, true), base: true },
  { kind: 'tcp', name: 'channel', run: () => channelRun('tcp::0'), ours: true },
];

// In turns, so that a slow moment of the host hits all alike.
const results = new Map(rows.map((row) => [row, []]));
for (let run = 0; run < runs; run++) {
  for (const row of rows) results.get(row).push(await row.run());
}
rmSync(folder, { recursive: true, force: true });

const best = (row) => Math.max(...results.get(row).map(({ speed }) => speed));
const cpu = (row) => Math.min(...results.get(row).map((result) => result.cpu));
console.log(
  `${(total / 1e6).toFixed(0)} MB in blocks of ${values.block} KiB, Node ${process.versions.node}, best of ${runs}\n`,
);
for (const row of rows) {
  const base = best(rows.find(({ kind, base }) => base && kind === row.kind));
  const ratio = best(row) / base;
  const goal = row.ours ? (ratio >= GOAL ? `  goal ${GOAL}: reached` : `  goal ${GOAL}: missed`) : '';
  console.log(
    `${row.kind.padEnd(5)} ${row.name.padEnd(22)} ${best(row).toFixed(2).padStart(5)} GB/s  ${ratio.toFixed(2)}x  ${cpu(row).toFixed(2)} CPU s/GB${goal}`,
  );
}
