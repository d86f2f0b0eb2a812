// DPDK's vhost-user back end as Debian ships it, as one end of a wire: it answers ARP and echo requests itself.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { LabError, until } from '../debian.mjs';

/**
 * Starts testpmd with a socket that it listens at. It polls without a rest: at the lowest priority it leaves the
 * guest the time that it needs.
 * @param socket path as the system of QEMU sees it
 */
export async function startTestpmd({ host, name, socket, atEnd }) {
  const { root } = host;
  const args = [
    ...[root, 'nice', '-n', '19', 'dpdk-testpmd', '--no-huge', '--no-pci', '-m', '192'],
    ...['--lcores', '0@0,1@(0,1)', '--file-prefix', name, '--vdev', `net_vhost0,iface=${socket},queues=1`],
    ...['--', '--forward-mode=icmpecho', '--auto-start', '--total-num-mbufs=4096'],
  ];
  const child = spawn('chroot', args, { stdio: ['pipe', 'pipe', 'pipe'] });
  atEnd(() => child.kill('SIGKILL'));
  const testpmd = { child, said: '', ended: false };
  const keep = (block) => {
    testpmd.said = (testpmd.said + block).slice(-100_000);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  child.on('close', () => {
    testpmd.ended = true;
  });
  await until('testpmd listens', () => testpmd.ended || existsSync(join(root, socket)), 120_000);
  if (testpmd.ended)
    throw new LabError(`testpmd has ended: ${testpmd.said.trim().split('\n').slice(-3).join(' / ')}`);
  // It goes on after a line of its input, and then ends.
  testpmd.end = async () => {
    child.stdin.end('\n');
    await until('testpmd ends', () => testpmd.ended, 20_000).catch(() => child.kill('SIGKILL'));
  };
  return testpmd;
}
