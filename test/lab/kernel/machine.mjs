// The guest as a machine: two disks made from folders, a small initramfs, and QEMU in software emulation.
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { LabError, run, say } from '../debian.mjs';

/** Modules of the disks and the shared folder; those that they need come with them, but for a checksum of ext4's. */
const MODULES = ['virtio_blk', 'crc32c_generic', 'ext4', '9pnet_virtio', '9p'];

const INIT = `#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
for m in $($b cat /mod/order); do $b insmod /mod/$m || echo "lab: insmod $m failed"; done
$b mount -t ext4 /dev/vda /new || echo "lab: no root disk"
$b mount -t ext4 -o ro /dev/vdb /new/opt/stopcopy
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 lab /new/lab
for m in proc sys dev; do $b mount --move /$m /new/$m; done
exec $b switch_root /new /bin/sh /lab/guest.sh /lab
`;

/** A disk with the content of a folder. */
export async function makeDisk(file, folder, megabytes) {
  say(`make ${basename(file)}`);
  rmSync(file, { force: true });
  const { code, output } = await run(
    'mke2fs',
    [
      '-q',
      '-t',
      'ext4',
      '-O',
      '^has_journal',
      '-E',
      'lazy_itable_init=1',
      '-d',
      folder,
      file,
      `${megabytes}M`,
    ],
    { timeout: 300_000 },
  );
  if (code !== 0) throw new LabError(`mke2fs: ${output.trim()}`);
}

/** The built tool and what it needs to run, in a folder. */
export function stageProject(project, folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const copy = (path) =>
    cpSync(join(project, path), join(folder, path), { recursive: true, verbatimSymlinks: true });
  copy('package.json');
  copy('dist');
  for (const name of packagesOf(project, 'package.json')) copy(join('node_modules', name));
}

/** Names of the packages that run, theirs included. */
function packagesOf(project, file, found = new Set()) {
  const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
    readFileSync(join(project, file), 'utf8'),
  );
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
    const own = join('node_modules', name, 'package.json');
    if (found.has(name) || !existsSync(join(project, own))) continue;
    found.add(name);
    packagesOf(project, own, found);
  }
  return found;
}

/** Paths of modules and of all they need, in the order in which they are loaded. */
function moduleOrder(folder) {
  const needs = new Map();
  for (const line of readFileSync(join(folder, 'modules.dep'), 'utf8').trim().split('\n')) {
    const [path, rest] = line.split(':');
    needs.set(path, rest.trim().split(' ').filter(Boolean));
  }
  const byName = new Map(
    [...needs.keys()].map((path) => [
      basename(path)
        .replace(/\.ko.*$/, '')
        .replaceAll('-', '_'),
      path,
    ]),
  );
  const order = new Set();
  for (const name of MODULES) {
    const path = byName.get(name);
    // A module that is not there is built in.
    if (path === undefined) continue;
    for (const need of [...needs.get(path)].reverse()) order.add(need);
    order.add(path);
  }
  return [...order];
}

/** An initramfs that mounts the disks and goes over to the root disk's /lab/guest.sh. */
export async function makeInitramfs(file, root, release, folder) {
  rmSync(folder, { recursive: true, force: true });
  for (const name of ['bin', 'mod', 'new', 'proc', 'sys', 'dev'])
    mkdirSync(join(folder, name), { recursive: true });
  cpSync(join(root, 'usr/bin/busybox'), join(folder, 'bin/busybox'));
  const modules = join(root, 'lib/modules', release);
  const order = moduleOrder(modules);
  for (const path of order) {
    const packed = join(modules, path);
    const to = join(folder, 'mod', basename(path).replace(/\.xz$/, ''));
    if (!path.endsWith('.xz')) cpSync(packed, to);
    else writeFileSync(to, spawnSync('xz', ['-dc', packed], { maxBuffer: 1 << 28 }).stdout);
  }
  writeFileSync(
    join(folder, 'mod/order'),
    order.map((path) => basename(path).replace(/\.xz$/, '')).join('\n'),
  );
  writeFileSync(join(folder, 'init'), INIT, { mode: 0o755 });
  const { code, output } = await run('sh', ['-c', 'find . | cpio -o -H newc --quiet > "$0"', file], {
    cwd: folder,
  });
  if (code !== 0) throw new LabError(`cpio: ${output.trim()}`);
}

/**
 * Boots the guest and waits until it has switched itself off.
 * @param tell hears of each line that the guest's script says
 */
export async function runMachine({ kernel, initramfs, disks, share, timeout, atEnd, tell }) {
  const args = [
    ...[
      '-accel',
      'tcg,thread=multi',
      '-cpu',
      'max',
      '-smp',
      '2',
      '-m',
      '2048',
      '-nodefaults',
      '-no-user-config',
    ],
    ...['-display', 'none', '-serial', 'stdio', '-no-reboot', '-kernel', kernel, '-initrd', initramfs],
    ...['-append', 'console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off printk.devkmsg=on'],
    ...disks.flatMap((file) => ['-drive', `file=${file},if=virtio,format=raw,cache=unsafe`]),
    ...['-virtfs', `local,path=${share},mount_tag=lab,security_model=none`],
  ];
  const child = spawn('nice', ['qemu-system-x86_64', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  atEnd(() => child.kill('SIGKILL'));
  let said = '';
  const keep = (text) => {
    said = (said + text).slice(-20_000);
  };
  child.stderr.on('data', keep);
  createInterface({ input: child.stdout }).on('line', (line) => {
    keep(`${line}\n`);
    const words = /^lab: (.*)/.exec(line)?.[1].trimEnd();
    if (words !== undefined) tell(words);
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), timeout);
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => resolve(status ?? signal));
  });
  clearTimeout(timer);
  if (code !== 0) throw new LabError(`the guest has ended with ${code}:\n${said}`);
  return said;
}
