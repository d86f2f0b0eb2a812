// Makes a checkout ready to run: dependencies when they are missing or older than the lock file, then the
// build. `npm start`, `npm test` and `npm run bench` call it, so that each of them is the only command
// that a fresh clone needs.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const NEEDS = [20, 19];

function fail(message, code) {
  console.error(`setup: ${message}`);
  process.exit(code);
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > NEEDS[0] || (major === NEEDS[0] && minor >= NEEDS[1])) return;
  fail(`Node ${NEEDS.join('.')} or newer is needed; this is Node ${process.versions.node}`, 2);
}

/** npm writes this file when an installation is complete. */
function dependenciesAreFresh() {
  const installed = join(ROOT, 'node_modules', '.package-lock.json');
  return (
    existsSync(installed) && statSync(installed).mtimeMs >= statSync(join(ROOT, 'package-lock.json')).mtimeMs
  );
}

function installDependencies() {
  if (dependenciesAreFresh()) return;
  console.error('setup: installing the dependencies of package-lock.json (npm ci)');
  const flags = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  // On Windows npm is a script, which only a shell starts.
  const { status, error } = spawnSync('npm', flags, {
    cwd: ROOT,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (error) fail(`npm could not be started: ${error.message}`, 2);
  if (status !== 0) fail(`npm ci has failed with exit code ${status}; see its message above`, 2);
}

/** The command line, and before it the library and the devices, which it refers to. Only what has changed is compiled. */
function build() {
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const { status } = spawnSync(process.execPath, [tsc, '-b', 'src/cli'], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  if (status !== 0) fail('the build has failed; see the compiler errors above', 1);
}

checkNode();
installDependencies();
build();
