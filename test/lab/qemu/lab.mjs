// A real QEMU attaches to `stopcopy serve --device e810-vf`: its firmware finds the VF and gives it
// addresses, a Linux guest enumerates it and drives it with iavf, BAR0 is read, and what the server saw is
// recorded and judged.
//   npm run lab:qemu [-- --keep]
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { E810_VF_REGISTERS, VFGEN_RSTAT } from '../../../dist/uapi/index.js';
import { bootstrap, LabError, lab, needCommands, run, say, until } from '../debian.mjs';
import { makeGuest } from './guest.mjs';

const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
/** The newest release whose QEMU is packaged: `vfio-user-pci` came with QEMU 10.1. */
const SUITE = 'forky';

/** A QMP connection. */
async function qmp(path) {
  const socket = connect(path);
  const waiting = [];
  socket.on('error', (error) => {
    for (const { reject } of waiting.splice(0)) reject(error);
  });
  const lines = createInterface({ input: socket });
  // QEMU may end in the midst of its answer to `quit`.
  lines.on('error', () => {});
  lines.on('line', (line) => {
    const message = JSON.parse(line);
    if (message.event !== undefined || message.QMP !== undefined) return;
    waiting.shift()?.resolve(message);
  });
  const ask = (execute, args) =>
    new Promise((resolve, reject) => {
      waiting.push({ resolve, reject });
      socket.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    });
  await ask('qmp_capabilities');
  return {
    monitor: async (line) => (await ask('human-monitor-command', { 'command-line': line })).return ?? '',
    quit: () => ask('quit').catch(() => {}),
  };
}

/** The VF as `info pci` tells it. */
function theVf(info) {
  const part = info.split(/^ {2}Bus /m).find((text) => text.includes('8086:1889'));
  const bar = /BAR0: \d+ bit (?:prefetchable )?memory at (0x[0-9a-f]+)/.exec(part ?? '');
  return part === undefined ? null : { text: `  Bus ${part}`.trimEnd(), bar0: bar?.[1] ?? null };
}

/** The words that `xp` prints: address to value. */
const words = (text) =>
  text
    .split('\n')
    .flatMap((line) => [...(line.split(':')[1] ?? '').matchAll(/0x[0-9a-f]{8}/g)].map(([word]) => word));

/** Registers of BAR0 that are read as a guest does. */
const REGISTERS = ['VFGEN_RSTAT', 'VF_ATQLEN1', 'VF_ARQLEN1', 'VFINT_DYN_CTL01'];

function serve(folder, root, atEnd) {
  const socket = join(root, 'run/vf.sock');
  const record = join(folder, 'served.ndjson');
  rmSync(record, { force: true });
  const child = spawn(
    process.execPath,
    [MAIN, 'serve', '--device', 'e810-vf', '--vfio-user', socket, '--record', record],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  atEnd(() => child.kill());
  return { socket, record, child, ended: new Promise((resolve) => child.on('close', resolve)) };
}

function startQemu(root, { kernel, initrd }, atEnd) {
  const device = {
    driver: 'vfio-user-pci',
    id: 'vf',
    addr: '3',
    socket: { type: 'unix', path: '/run/vf.sock' },
  };
  const args = [
    ...[root, 'qemu-system-x86_64', '-M', 'q35', '-accel', 'tcg', '-cpu', 'max', '-m', '256', '-nodefaults'],
    ...['-display', 'none', '-serial', 'stdio', '-no-reboot', '-kernel', kernel, '-initrd', initrd],
    ...['-append', 'console=ttyS0 quiet loglevel=4', '-device', JSON.stringify(device)],
    ...['-qmp', 'unix:/run/qmp.sock,server=on,wait=off'],
  ];
  const child = spawn('chroot', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  atEnd(() => child.kill('SIGKILL'));
  const qemu = { child, said: '', guest: [], ended: false };
  child.stderr.on('data', (block) => {
    qemu.said += block;
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const words = /guest: (.*)/.exec(line)?.[1].trimEnd();
    if (words === undefined) return;
    say(words);
    qemu.guest.push(words);
  });
  child.on('close', () => {
    qemu.ended = true;
  });
  return qemu;
}

await lab('qemu', async ({ folder, atEnd }) => {
  needCommands({ debootstrap: 'debootstrap', cpio: 'cpio', xz: 'xz-utils' });
  const root = join(folder, 'root');
  await bootstrap({ suite: SUITE, root, include: ['qemu-system-x86', 'seabios'] });
  mkdirSync(join(root, 'run'), { recursive: true });
  for (const name of ['vf.sock', 'qmp.sock']) rmSync(join(root, 'run', name), { force: true });
  const { output: version } = await run('chroot', [root, 'qemu-system-x86_64', '--version']);
  say(version.split('\n')[0]);

  const guest = await makeGuest(root);

  const server = serve(folder, root, atEnd);
  await until('stopcopy serve listens', () => existsSync(server.socket) || server.child.exitCode !== null);
  if (server.child.exitCode !== null) throw new LabError('stopcopy serve has ended');
  const mode = (statSync(server.socket).mode & 0o777).toString(8);
  say(`serve listens, its socket has mode 0${mode}`);

  const qemu = startQemu(root, guest, atEnd);
  await until('QEMU answers', () => qemu.ended || existsSync(join(root, 'run/qmp.sock')));
  if (qemu.ended) throw new LabError(`QEMU has ended: ${qemu.said.trim()}`);
  const monitor = await qmp(join(root, 'run/qmp.sock'));
  await until('the guest is done', () => qemu.ended || qemu.guest.includes('done'), 300_000);
  if (qemu.ended) throw new LabError(`QEMU has ended: ${qemu.said.trim()}`);
  for (const line of qemu.guest) process.stdout.write(`${line}\n`);
  const vf = theVf(await monitor.monitor('info pci'));
  if (vf === null || vf.bar0 === null) throw new LabError('no function 8086:1889 with a BAR0 is in info pci');
  process.stdout.write(`${vf.text}\n`);

  const read = {};
  for (const name of REGISTERS) {
    const offset = E810_VF_REGISTERS[name];
    const address = `0x${(BigInt(vf.bar0) + BigInt(offset)).toString(16)}`;
    [read[name]] = words(await monitor.monitor(`xp /1xw ${address}`));
    process.stdout.write(`BAR0 + 0x${offset.toString(16)} ${name} = ${read[name]}\n`);
  }
  await monitor.quit();
  await until('QEMU ends', () => qemu.ended);
  if (qemu.said.trim() !== '') process.stdout.write(`QEMU said: ${qemu.said.trim()}\n`);
  server.child.kill('SIGINT');
  await server.ended;
  chmodSync(server.record, 0o644);
  const events = readFileSync(server.record, 'utf8').trim().split('\n').length;
  const judged = await run(process.execPath, [MAIN, 'validate', server.record]);
  process.stdout.write(`${judged.output}\n`);

  const checks = {
    'Linux enumerates 8086:1889, an Ethernet controller': qemu.guest.some((line) =>
      / 0x8086 0x1889 0x020000$/.test(line),
    ),
    'iavf drives it as eth0': qemu.guest.some((line) => /^eth0 \S+ iavf$/.test(line)),
    'VFGEN_RSTAT says that the VF is active':
      (Number(read.VFGEN_RSTAT) & VFGEN_RSTAT.MASK) === VFGEN_RSTAT.VF_ACTIVE,
    'the socket is for its owner only': mode === '600',
    'the run was recorded': events > 0,
    'no rule is broken in the recording': judged.code === 0 || judged.code === 3,
  };
  for (const [what, good] of Object.entries(checks))
    process.stdout.write(`${good ? 'ok    ' : 'not ok'} ${what}\n`);
  return Object.values(checks).every(Boolean);
});
