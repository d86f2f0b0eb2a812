// A VM of the small guest with a vhost-user network device, in the system of QEMU: its console, its trace, its monitor.
import { spawn } from 'node:child_process';
import { createWriteStream, existsSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { LabError, until } from '../debian.mjs';

const MEGABYTES = 256;
/** What of QEMU's trace tells of vhost and of migration; the events that a leading `-` takes out come by the thousand. */
const TRACED = [
  'vhost_*',
  '-vhost_section',
  '-vhost_region_add_section*',
  '-vhost_reject_section',
  '-vhost_commit',
  'virtio_set_status',
  'migrate_*',
  'migration_*',
  '-migration_transferred_bytes',
  '-migration_rate_limit*',
  '-migration_iteration_*',
  'savevm_section_*',
  '-savevm_section_skip',
  'savevm_state_*',
  'loadvm_*',
  'qemu_loadvm_state_section_startfull',
  'runstate_set',
  'vm_state_notify',
];

/** A connection to a QEMU's monitor, every line of which is kept with the time of this host. */
async function qmp(path, record) {
  const socket = connect(path);
  const waiting = [];
  const events = [];
  const file = createWriteStream(record, { mode: 0o600 });
  let greeted;
  const greeting = new Promise((resolve) => {
    greeted = resolve;
  });
  const keep = (k, msg) => file.write(`${JSON.stringify({ t: Date.now() / 1000, k, msg })}\n`);
  socket.on('error', (error) => {
    greeted();
    for (const { reject } of waiting.splice(0)) reject(error);
  });
  const lines = createInterface({ input: socket });
  lines.on('error', () => {});
  lines.on('line', (line) => {
    const msg = JSON.parse(line);
    if (msg.QMP !== undefined) {
      greeted();
      return keep('greeting', msg);
    }
    if (msg.event !== undefined) {
      events.push(msg);
      return keep('event', msg);
    }
    keep('reply', msg);
    waiting.shift()?.resolve(msg);
  });
  const ask = (execute, args) =>
    new Promise((resolve, reject) => {
      waiting.push({ resolve, reject });
      const msg = { execute, ...(args && { arguments: args }) };
      keep('cmd', msg);
      socket.write(`${JSON.stringify(msg)}\n`);
    });
  await greeting;
  await ask('qmp_capabilities');
  return { ask, events, end: () => new Promise((resolve) => file.end(resolve)) };
}

/**
 * Starts QEMU.
 * @param name `src` or `dst`
 * @param socket of the back end, or of a proxy in front of it; as the system of QEMU sees it
 * @param incoming URI of a migration, or nothing
 * @param out folder of the recordings
 */
export async function startVm({ host, guest, name, socket, incoming, out, atEnd }) {
  const { root } = host;
  const paths = { qmp: `/run/lab/${name}.qmp`, log: `/run/lab/${name}.trace.log` };
  for (const path of Object.values(paths)) rmSync(join(root, path), { force: true });
  writeFileSync(join(root, 'run/lab/events'), `${TRACED.join('\n')}\n`);
  const args = [
    ...[
      root,
      'nice',
      '-n',
      '1',
      'qemu-system-x86_64',
      '-accel',
      'tcg',
      '-cpu',
      'max',
      '-m',
      String(MEGABYTES),
    ],
    ...[
      '-name',
      name,
      '-nodefaults',
      '-no-user-config',
      '-display',
      'none',
      '-serial',
      'stdio',
      '-no-reboot',
    ],
    ...[
      '-object',
      `memory-backend-memfd,id=m0,size=${MEGABYTES}M,share=on`,
      '-machine',
      'pc,memory-backend=m0',
    ],
    ...['-chardev', `socket,id=c0,path=${socket}`, '-netdev', 'vhost-user,id=n0,chardev=c0'],
    ...['-device', 'virtio-net-pci,netdev=n0,mac=52:54:00:12:34:56,romfile='],
    ...['-kernel', guest.kernel, '-initrd', guest.initrd],
    ...['-append', 'console=ttyS0 quiet panic=-1 mitigations=off net.ifnames=0'],
    ...['-qmp', `unix:${paths.qmp},server=on,wait=off`, '-msg', 'timestamp=on', '-D', paths.log],
    ...['-trace', 'events=/run/lab/events', ...(incoming ? ['-incoming', incoming] : [])],
  ];
  const child = spawn('chroot', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  atEnd(() => child.kill('SIGKILL'));
  const vm = { name, child, said: '', lines: [], ended: false, log: join(root, paths.log) };
  child.stderr.on('data', (block) => {
    vm.said = (vm.said + block).slice(-20_000);
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const words = /guest: (.*)/.exec(line)?.[1].trimEnd();
    if (words !== undefined) vm.lines.push(words);
  });
  child.on('close', () => {
    vm.ended = true;
  });
  await until(`${name} answers`, () => vm.ended || existsSync(join(root, paths.qmp)));
  if (vm.ended) throw new LabError(`QEMU (${name}) has ended: ${vm.said.trim()}`);
  vm.monitor = await qmp(join(root, paths.qmp), join(out, `${name}.qmp.ndjson`));
  return vm;
}

/** How many echoes a guest had. */
export const echoes = ({ lines }) => lines.filter((line) => line.startsWith('echo ')).length;

/** Waits for something of a VM's, and fails when the VM ends. */
export async function untilVm(vm, what, ready, timeout) {
  await until(what, () => vm.ended || ready(), timeout);
  if (vm.ended)
    throw new LabError(`QEMU (${vm.name}) has ended while waiting for: ${what}: ${vm.said.trim()}`);
}

/** Ends a VM. */
export async function endVm(vm) {
  if (!vm.ended) await vm.monitor.ask('quit').catch(() => {});
  await until(`${vm.name} ends`, () => vm.ended).catch(() => vm.child.kill('SIGKILL'));
  await vm.monitor.end();
}
