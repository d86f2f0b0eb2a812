// The kernel's own sample migration driver, mtty, under the full suite: in a Debian guest, by `stopcopy test`
// and by the C program that `stopcopy generate` writes, while `stopcopy record` watches. The report says what
// mtty does otherwise than the uAPI, and whether both programs and the recording agree.
//   npm run lab:kernel [-- --keep]
import { cpSync, existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LabError, lab, needCommands, run, say } from '../debian.mjs';
import { makeDisk, makeInitramfs, runMachine, stageProject } from './machine.mjs';
import { inRoot, MADE_LAST, makeSystem } from './system.mjs';
import { verdict } from './verdict.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const PROJECT = fileURLToPath(new URL('../../../', import.meta.url));
const MAIN = join(PROJECT, 'dist/cli/main.js');

/** mtty has all capabilities. */
const GENERATE = ['generate', 'vfio-device', '--force', '--capabilities', 'p2p,pre-copy'];
const COVERAGE = 'requests,sessions,errors,m-complete';
/** What IOMMUFD changes: how the device is opened, and that its DMA log can be read. */
const SHORT_COVERAGE = 'errors';
/** On two quiet cores the guest is done in a third of this time; a busy host may allow it more. */
const GUEST_MINUTES = Number(process.env.STOPCOPY_LAB_MINUTES ?? 12);
const MEGABYTES = { root: 3000, project: 150 };

async function generate(coverage, emit, file) {
  const args = [...GENERATE, '--coverage', coverage, '--emit', emit, '-o', file];
  const { code, output } = await run(process.execPath, [MAIN, ...args]);
  if (code !== 0) throw new LabError(`stopcopy generate --emit ${emit}: ${output.trim()}`);
}

/** The suite in both forms; the C program is built by the guest's compiler. */
async function makeSuite(root, share) {
  say('generate the suite');
  await generate(COVERAGE, 'json', join(share, 'suite.json'));
  await generate(SHORT_COVERAGE, 'json', join(share, 'short.json'));
  await generate(COVERAGE, 'c', join(share, 'suite.c'));
  cpSync(join(share, 'suite.c'), join(root, 'tmp/suite.c'));
  await inRoot(root, 'gcc -std=c11 -Wall -Wextra -Werror -O1 -o /tmp/suite /tmp/suite.c');
  cpSync(join(root, 'tmp/suite'), join(share, 'suite'));
}

/** Whether a file is there and not older than another. */
const isNewer = (file, than) => existsSync(file) && statSync(file).mtimeMs >= statSync(than).mtimeMs;

await lab('kernel', async ({ folder, atEnd }) => {
  needCommands({
    'qemu-system-x86_64': 'qemu-system-x86',
    debootstrap: 'debootstrap',
    mke2fs: 'e2fsprogs',
    cpio: 'cpio',
    xz: 'xz-utils',
  });
  const { root, release } = await makeSystem(folder);
  const share = join(folder, 'share');
  rmSync(share, { recursive: true, force: true });
  mkdirSync(join(share, 'out'), { recursive: true });
  cpSync(join(HERE, 'guest.sh'), join(share, 'guest.sh'));
  await makeSuite(root, share);

  for (const name of ['lab', 'opt/stopcopy']) mkdirSync(join(root, name), { recursive: true });
  const disks = { root: join(folder, 'root.img'), project: join(folder, 'project.img') };
  if (!isNewer(disks.root, join(root, MADE_LAST))) await makeDisk(disks.root, root, MEGABYTES.root);
  stageProject(PROJECT, join(folder, 'project'));
  await makeDisk(disks.project, join(folder, 'project'), MEGABYTES.project);
  const initramfs = join(folder, 'initramfs');
  await makeInitramfs(initramfs, root, release, join(folder, 'initramfs.d'));

  say('boot the guest');
  const said = await runMachine({
    kernel: join(root, `boot/vmlinuz-${release}`),
    initramfs,
    disks: [disks.root, disks.project],
    share,
    timeout: GUEST_MINUTES * 60_000,
    atEnd,
    tell: say,
  });
  if (!existsSync(join(share, 'out/complete')))
    throw new LabError(`the guest has not come to its end:\n${said}`);
  return verdict(share, MAIN);
});
