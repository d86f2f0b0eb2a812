// vhost on real software: a QEMU whose guest migrates live with a vhost-user network device, behind our proxy, on our
// served back end and on DPDK's; and in a machine of its own kernel vhost-net and the vDPA simulator under our targets.
//   npm run lab:vhost [-- --keep] [--out FOLDER] [--only served,testpmd,kernel,vdpa]
import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { LabError, lab, needCommands, say } from '../debian.mjs';
import { makeSmallGuest } from './guest.mjs';
import { judgeKernel, judgeMigration, judgeVdpa } from './judge.mjs';
import { runKernelMachine } from './machine.mjs';
import { migrateWith } from './migrate.mjs';
import { makeGuestSystem, makeHost } from './systems.mjs';
import { startTestpmd } from './testpmd.mjs';
import { BUILT, startServed } from './tool.mjs';

const PARTS = ['served', 'testpmd', 'kernel', 'vdpa'];
const TITLES = {
  served: 'QEMU on the served back end, a live migration',
  testpmd: "QEMU on DPDK's testpmd, a live migration",
  kernel: 'kernel vhost-net under the target vhost:',
  vdpa: 'the vDPA simulator under the target vhost-vdpa:',
};

const { values: options } = parseArgs({
  options: { keep: { type: 'boolean' }, out: { type: 'string' }, only: { type: 'string' } },
});
const wanted = options.only?.split(',') ?? PARTS;
const print = (line = '') => process.stdout.write(`${line}\n`);

/** Prints what a part came to; whether all is as it should be. */
function tell(part, { facts = [], checks = {}, why }) {
  print(`${TITLES[part]}`);
  if (why !== undefined) print(`  cannot be had here: ${why}`);
  for (const fact of facts) print(`  ${fact}`);
  for (const [what, good] of Object.entries(checks)) print(`  ${good ? 'ok    ' : 'not ok'} ${what}`);
  print();
  return Object.values(checks).every(Boolean);
}

/** A part that fails is told, and the others go on. */
async function play(part, run) {
  say(TITLES[part]);
  try {
    return tell(part, await run());
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    return tell(part, { facts: [error.message], checks: { 'it ran to its end': false } });
  }
}

await lab('vhost', async ({ folder, atEnd }) => {
  const unknown = wanted.filter((part) => !PARTS.includes(part));
  if (unknown.length > 0)
    throw new LabError(`there is no part ${unknown.join(', ')}; there are ${PARTS.join(', ')}`);
  needCommands({
    'qemu-system-x86_64': 'qemu-system-x86',
    debootstrap: 'debootstrap',
    mke2fs: 'e2fsprogs',
    cpio: 'cpio',
    xz: 'xz-utils',
  });
  const out = resolve(options.out ?? join(folder, 'out'));
  for (const part of wanted) rmSync(join(out, part), { recursive: true, force: true });
  mkdirSync(out, { recursive: true, mode: 0o700 });
  const system = await makeGuestSystem(folder);
  const good = [];

  if (wanted.includes('served') || wanted.includes('testpmd')) {
    const host = await makeHost(folder);
    const guest = await makeSmallGuest(host, system);
    const migrate = (part, startBackend) =>
      play(part, async () => {
        const to = join(out, part);
        const result = await migrateWith({ host, guest, startBackend: startBackend(to), out: to, atEnd });
        return judgeMigration(to, result, part === 'served');
      });
    if (wanted.includes('served'))
      good.push(
        await migrate('served', (to) => ({ name, socket }) => {
          const record = join(to, `${name}.served.ndjson`);
          return startServed({ socket: join(host.root, socket), record, atEnd });
        }),
      );
    if (wanted.includes('testpmd'))
      good.push(
        host.noDpdk === null
          ? await migrate(
              'testpmd',
              () =>
                ({ name, socket }) =>
                  startTestpmd({ host, name, socket, atEnd }),
            )
          : tell('testpmd', { why: host.noDpdk }),
      );
  }

  if (wanted.includes('kernel') || wanted.includes('vdpa')) {
    const left = await runKernelMachine({ folder, system, project: BUILT, atEnd });
    const to = join(out, 'machine');
    rmSync(to, { recursive: true, force: true });
    cpSync(left, to, { recursive: true });
    if (wanted.includes('kernel')) good.push(await play('kernel', () => judgeKernel(to)));
    if (wanted.includes('vdpa')) good.push(await play('vdpa', () => judgeVdpa(to)));
  }
  if (options.out !== undefined || existsSync(join(folder, 'out'))) say(`the recordings are in ${out}`);
  return good.length > 0 && good.every(Boolean);
});
