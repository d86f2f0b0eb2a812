// What the labs share: packages of the host, and Debian systems of other releases in folders.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A lab cannot go on; the message is for people. */
export class LabError extends Error {}

const started = Date.now();

/** Tells on standard error what is being done. */
export function say(words) {
  const seconds = String(Math.round((Date.now() - started) / 1000)).padStart(4);
  process.stderr.write(`${seconds} s  ${words}\n`);
}

/** The folder of a lab: `--keep` leaves it behind for the next run, in STOPCOPY_LAB_DIR. */
export function labFolder(name) {
  const base = process.env.STOPCOPY_LAB_DIR;
  if (base === undefined) return mkdtempSync(join(tmpdir(), `stopcopy-lab-${name}-`));
  const folder = join(base, name);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/** Looks for root on a Debian. */
export function needRoot() {
  if (process.getuid?.() !== 0)
    throw new LabError('a lab makes root folders and installs packages: run it as root');
  if (!existsSync('/etc/debian_version'))
    throw new LabError('a lab needs a Debian host: it fetches Debian packages');
}

/** Installs the packages of commands that are missing. */
export function needCommands(packages) {
  const missing = Object.entries(packages).filter(([command]) => spawnSync('which', [command]).status !== 0);
  if (missing.length === 0) return;
  const names = [...new Set(missing.map(([, name]) => name))];
  say(`install ${names.join(', ')}`);
  execFileSync('apt-get', ['update', '-q'], { stdio: 'ignore' });
  const result = spawnSync('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...names], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    encoding: 'utf8',
  });
  if (result.status !== 0)
    throw new LabError(`apt-get cannot install ${names.join(', ')}: ${lastLine(result.stderr)}`);
}

const lastLine = (text) => text.trim().split('\n').at(-1) ?? '';

/** The mirror that this host takes packages from. */
export function mirror() {
  if (process.env.STOPCOPY_DEBIAN_MIRROR) return process.env.STOPCOPY_DEBIAN_MIRROR;
  const folder = '/etc/apt/sources.list.d';
  const files = [
    '/etc/apt/sources.list',
    ...(existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []),
  ];
  for (const file of files.filter(existsSync)) {
    const found = /^(?:deb\s+(?:\[[^\]]*\]\s+)?|URIs:\s*)(\S+\/debian)\/?(?:\s|$)/m.exec(
      readFileSync(file, 'utf8'),
    );
    if (found) return found[1];
  }
  throw new LabError('no mirror of Debian stands in the sources of apt: set STOPCOPY_DEBIAN_MIRROR');
}

const MARK = '.complete';

/** A Debian of a release in a folder. Nothing is done when it is there from before. */
export async function bootstrap({ suite, root, include }) {
  if (existsSync(join(root, MARK))) return say(`${root} is there from before`);
  rmSync(root, { recursive: true, force: true });
  say(`fetch Debian ${suite} with ${include.join(', ')}`);
  const log = `${root}.log`;
  const args = ['--variant=minbase', `--include=${include.join(',')}`, suite, root, mirror()];
  // Releases that are newer than this host's debootstrap are made as its newest one.
  const script = `/usr/share/debootstrap/scripts/${suite}`;
  if (!existsSync(script)) args.push('/usr/share/debootstrap/scripts/sid');
  const { code, output } = await run('debootstrap', args, { timeout: 600_000 });
  writeFileSync(log, output);
  if (code !== 0) throw new LabError(`debootstrap has failed: ${lastLine(output)}; all it said is in ${log}`);
  writeFileSync(join(root, MARK), '');
}

/** Process groups of the commands that run. */
const running = new Set();

/** Ends what still runs, and unmounts what debootstrap or a command has mounted in a folder. */
function stopAll(folder) {
  for (const group of running) {
    try {
      process.kill(-group, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  }
  if (folder === undefined) return;
  const points = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((point) => point.startsWith(`${folder}/`));
  for (const point of points.reverse()) spawnSync('umount', ['--lazy', point]);
}

/** Runs a command to its end, at low priority. */
export function run(command, args, { timeout = 120_000, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn('nice', [command, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      ...options,
    });
    if (child.pid !== undefined) running.add(child.pid);
    let output = '';
    const take = (block) => {
      output = (output + block).slice(-1_000_000);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    const timer = setTimeout(() => child.kill('SIGKILL'), timeout);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      running.delete(child.pid);
      resolve({ code, output });
    });
  });
}

/** Waits until `ready` gives something; what is waited for stands in the error. */
export async function until(what, ready, timeout = 60_000) {
  const end = Date.now() + timeout;
  for (;;) {
    const found = await ready();
    if (found) return found;
    if (Date.now() > end) throw new LabError(`${what}: not within ${timeout / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Runs a lab: its exit code, its end by a signal, and what it leaves behind. */
export async function lab(name, main) {
  const keep = process.argv.includes('--keep');
  const closers = [];
  let folder;
  const end = () => {
    for (const close of closers.splice(0).reverse()) close();
    stopAll(folder);
    if (folder !== undefined && !keep) rmSync(folder, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.once(signal, () => {
      end();
      process.exit(130);
    });
  try {
    needRoot();
    folder = labFolder(name);
    const good = await main({ folder, atEnd: (close) => closers.push(close) });
    process.exitCode = good ? 0 : 1;
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    process.stderr.write(`lab: ${error.message}\n`);
    process.exitCode = 2;
  } finally {
    end();
  }
}
