// How fast a big log is validated, next to the usual tools on the same file in the same run.
//   node test/bench/validate.bench.mjs [--size=MEGABYTES] [--runs=N] [--file=LOG]
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bigLog } from '../support/real-mix.mjs';

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '200' },
    runs: { type: 'string', default: '3' },
    file: { type: 'string' },
  },
});
const runs = Number(values.runs);
const file = values.file ?? bigLog(Number(values.size));
const bytes = statSync(file).size;
const dist = new URL('../../dist/', import.meta.url);
const cli = fileURLToPath(new URL('cli/main.js', dist));
const scratch = mkdtempSync(join(tmpdir(), 'stopcopy-bench-'));
const rssFile = join(scratch, 'rss');

/** Makes a Node process write its peak memory (KiB) to `rssFile` when it ends. */
const RSS_HOOK = `--import=data:text/javascript,${encodeURIComponent(`
  import { writeFileSync } from 'node:fs';
  process.on('exit', () => writeFileSync(process.env.RSS_FILE, String(process.resourceUsage().maxRSS)));
`)}`;

const READLINE = `
  import { createReadStream } from 'node:fs';
  import { createInterface } from 'node:readline';
  const counts = new Map();
  const lines = createInterface({ input: createReadStream(process.argv[1]), crlfDelay: Infinity });
  lines.on('line', (line) => {
    const found = /^(?:(\\S+Z) |(\\d+)@(\\d+\\.\\d+):)?([a-z]\\w+) (?: \\(([^)]*)\\))? ?(.*)$/.exec(line);
    if (found) counts.set(found[4], (counts.get(found[4]) ?? 0) + 1);
  });
  lines.on('close', () => console.log(counts.size));`;

const READ_TRACE = `
  const { readTrace } = await import(${JSON.stringify(new URL('trace/open.js', dist).href)});
  let events = 0;
  await readTrace({ file: process.argv[1] }, { emit: () => { events++; } });
  console.log(events);`;

const script = (source) => ['--input-type=module', '-e', source, file];

const rows = [
  { name: 'wc -l', command: 'wc', args: ['-l', file], runs },
  { name: 'LC_ALL=C grep -c vfio_', command: 'grep', args: ['-c', 'vfio_', file], runs, base: true },
  { name: 'awk, fields of each line', command: 'awk', args: ['{ n += NF } END { print n }', file], runs },
  { name: 'node readline + regex', command: process.execPath, args: script(READLINE), runs: 1 },
  { name: 'readTrace only', command: process.execPath, args: script(READ_TRACE), runs },
  {
    name: 'stopcopy validate --json',
    command: process.execPath,
    args: [cli, 'validate', file, '--json'],
    runs,
  },
];

/** Runs a command and gives its seconds and, for Node, its peak memory in MiB; undefined when it cannot run. */
function once({ command, args }) {
  const node = command === process.execPath;
  const start = process.hrtime.bigint();
  const { status, error, stderr } = spawnSync(command, node ? [RSS_HOOK, ...args] : args, {
    env: { ...process.env, LC_ALL: 'C', RSS_FILE: rssFile },
    // Not /dev/null: GNU grep stops at the first hit when it sees that nobody reads.
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 26,
  });
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  // 1 and 3 are verdicts of validate, and "no line found" of grep.
  if (error || (status !== 0 && status !== 1 && status !== 3)) {
    console.error(`${command} ${args[0]}: ${error?.message ?? `exit ${status} ${stderr}`}`);
    return undefined;
  }
  return { seconds, memory: node ? Number(readFileSync(rssFile, 'utf8')) / 1024 : undefined };
}

function best(row) {
  const results = Array.from({ length: row.runs }, () => once(row)).filter(Boolean);
  return results.sort((a, b) => a.seconds - b.seconds)[0];
}

const measured = rows
  .filter((row) => !row.args.includes(cli) || existsSync(cli))
  .map((row) => ({ ...row, result: best(row) }))
  .filter(({ result }) => result);
rmSync(scratch, { recursive: true, force: true });

const grep = measured.find(({ base }) => base)?.result.seconds;
const readline = measured.find(({ name }) => name.startsWith('node readline'))?.result.seconds;
const ratio = (one, other) => (one && other ? `${(one / other).toFixed(2)}x` : '-');

console.log(
  `${file}: ${(bytes / 1e6).toFixed(0)} MB, Node ${process.versions.node}, best of ${runs} (readline: 1)\n`,
);
const table = [
  ['', 'seconds', 'GB/s', 'time / grep', 'readline / time', 'peak MiB'],
  ...measured.map(({ name, result }) => [
    name,
    result.seconds.toFixed(3),
    (bytes / 1e9 / result.seconds).toFixed(2),
    ratio(result.seconds, grep),
    ratio(readline, result.seconds),
    result.memory?.toFixed(0) ?? '-',
  ]),
];
const widths = table[0].map((_, column) => Math.max(...table.map((cells) => cells[column].length)));
for (const cells of table) {
  console.log(
    cells.map((cell, n) => (n === 0 ? cell.padEnd(widths[n]) : cell.padStart(widths[n]))).join('  '),
  );
}
