// The machine whose kernel has vhost: Debian under software emulation, with the built tool on a disk.
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LabError, say } from '../debian.mjs';
import { makeDisk, makeInitramfs, runMachine, stageProject } from '../kernel/machine.mjs';
import { GUEST_READY } from './systems.mjs';

const LIVE = fileURLToPath(new URL('live/', import.meta.url));
/** On two quiet cores the machine is done in a third of this time. */
const MINUTES = Number(process.env.STOPCOPY_LAB_MINUTES ?? 20);
const MEGABYTES = { root: 3000, project: 150 };

/** Whether a file is there and not older than another. */
const isNewer = (file, than) => existsSync(file) && statSync(file).mtimeMs >= statSync(than).mtimeMs;

/**
 * Boots the machine and runs `live/guest.sh` in it.
 * @returns the folder of what it has left
 */
export async function runKernelMachine({ folder, system, project, atEnd }) {
  const { root, release } = system;
  const share = join(folder, 'share');
  rmSync(share, { recursive: true, force: true });
  mkdirSync(join(share, 'out'), { recursive: true });
  for (const name of readdirSync(LIVE)) cpSync(join(LIVE, name), join(share, name));
  for (const name of ['lab', 'opt/stopcopy']) mkdirSync(join(root, name), { recursive: true });
  const disks = { root: join(folder, 'root.img'), project: join(folder, 'project.img') };
  if (!isNewer(disks.root, join(root, GUEST_READY))) await makeDisk(disks.root, root, MEGABYTES.root);
  stageProject(project, join(folder, 'project'));
  await makeDisk(disks.project, join(folder, 'project'), MEGABYTES.project);
  const initramfs = join(folder, 'initramfs');
  await makeInitramfs(initramfs, root, release, join(folder, 'initramfs.d'));

  say('boot the machine with kernel vhost');
  const said = await runMachine({
    kernel: join(root, `boot/vmlinuz-${release}`),
    initramfs,
    disks: [disks.root, disks.project],
    share,
    timeout: MINUTES * 60_000,
    atEnd,
    tell: say,
  });
  const out = join(share, 'out');
  if (!existsSync(join(out, 'complete'))) throw new LabError(`the machine has not come to its end:\n${said}`);
  return out;
}
