// Makes a big QEMU log out of the recorded ones: run after run, each moved behind the one before it in time.
import { closeSync, existsSync, openSync, readdirSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SECOND = 1_000_000;
/** Scenarios with one device in which all goes as it should, so that the runs fit behind each other. */
const SCENARIOS = [
  'happy-default',
  'switchover-ack',
  'multifd-transfer',
  'cancel-precopy',
  'stop-cont',
  'file-save-load',
];
/** The device of source logs; that of destination logs is renamed to it: it is one host that starts VM after VM. */
const DEVICE = '11111111-1111-4111-8111-111111111111';
const OTHER = /22222222-2222-4222-8222-222222222222/g;
/** Pause between two runs, in microseconds. */
const PAUSE = 10 * SECOND;
/** Bytes of a time and of the newline. */
const STAMP_LENGTH = 29;
const STAMP = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{6}))?Z /;

/** Folders that may hold the recorded logs; the first that has some is taken. */
function traceFolder() {
  const own = process.env.STOPCOPY_TRACES;
  const folders = [own, join(ROOT, 'test', 'traces'), join(ROOT, '..', 'shared', 'traces')];
  const found = folders.find((folder) => folder && logs(folder).length > 0);
  if (!found)
    throw new Error('no recorded logs; set STOPCOPY_TRACES to a folder that has qemu-11.1/*/*.trace.log');
  return found;
}

/** The logs of QEMU 11.1, whose lines all begin with an ISO time. */
function logs(folder) {
  const top = join(folder, 'qemu-11.1');
  if (!existsSync(top)) return [];
  return readdirSync(top, { recursive: true })
    .filter((path) => /trace\.log(\.gz)?$/.test(path) && SCENARIOS.some((name) => path.startsWith(name)))
    .sort()
    .map((path) => join(top, path));
}

/** The lines of a log, each with its time in microseconds from the log's start. */
function load(path) {
  const bytes = readFileSync(path);
  const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1').replace(OTHER, DEVICE);
  let start;
  return text
    .split('\n')
    .filter((line) => STAMP.test(line))
    .map((line) => {
      const [stamp, second, fraction] = STAMP.exec(line);
      const time = Date.parse(`${second}Z`) * 1000 + Number(fraction ?? 0);
      start ??= time;
      return { after: time - start, rest: line.slice(stamp.length) };
    });
}

/** The text of a run that begins at `clock` (microseconds). */
function moved(run, clock) {
  let second = -1;
  let text = '';
  const lines = run.map(({ after, rest }) => {
    const time = clock + after;
    if (Math.floor(time / SECOND) !== second) {
      second = Math.floor(time / SECOND);
      text = new Date(second * 1000).toISOString().slice(0, 19);
    }
    return `${text}.${String(time % SECOND).padStart(6, '0')}Z ${rest}\n`;
  });
  return Buffer.from(lines.join(''), 'latin1');
}

/** The path of a log of about `megabytes` in the temporary folder; it is made when it is not there yet. */
export function bigLog(megabytes) {
  const paths = logs(traceFolder());
  // First all the runs as destination, then all as source, as often: a host does not change sides halfway.
  const roles = ['dst', 'src'].map((role) => paths.filter((log) => basename(log).startsWith(role)).map(load));
  const round = roles.flat(2).reduce((sum, { rest }) => sum + rest.length + STAMP_LENGTH, 0);
  // The size of a round is in the name, so that other recorded logs make another file.
  const path = join(tmpdir(), `stopcopy-bench-${megabytes}-${round}.log`);
  if (existsSync(path)) return path;
  const rounds = Math.ceil((megabytes * 1e6) / round);
  const part = `${path}.part`;
  const file = openSync(part, 'w');
  let clock = Date.UTC(2026, 0, 1) * 1000;
  for (const runs of roles) {
    for (let n = 0; n < rounds * runs.length; n++) {
      const run = runs[n % runs.length];
      writeSync(file, moved(run, clock));
      clock += run.at(-1).after + PAUSE;
    }
  }
  closeSync(file);
  renameSync(part, path);
  return path;
}
