// Makes a big QEMU log out of the recorded ones: run after run, each moved behind the one before it in time.
import { closeSync, existsSync, openSync, readdirSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SECOND = 1_000_000;
/** Pause between two runs, in microseconds. */
const PAUSE = 10 * SECOND;
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
    .filter((path) => /trace\.log(\.gz)?$/.test(path))
    .sort()
    .map((path) => join(top, path));
}

/** The lines of a log, each with its time in microseconds from the log's start. */
function load(path) {
  const bytes = readFileSync(path);
  const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1');
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
  const path = join(tmpdir(), `stopcopy-bench-${megabytes}.log`);
  if (existsSync(path)) return path;
  const runs = logs(traceFolder()).map(load);
  const part = `${path}.part`;
  const file = openSync(part, 'w');
  let clock = Date.UTC(2026, 0, 1) * 1000;
  for (let size = 0, next = 0; size < megabytes * 1e6; next = (next + 1) % runs.length) {
    size += writeSync(file, moved(runs[next], clock));
    clock += runs[next].at(-1).after + PAUSE;
  }
  closeSync(file);
  renameSync(part, path);
  return path;
}
