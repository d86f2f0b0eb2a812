// A small Linux guest with virtio_net: it takes an address and asks its neighbour for an echo, again and again, and
// tells each answer on its serial line.
import { chmodSync, copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LabError, run, say } from '../debian.mjs';

/** Addresses of the guest, and of the neighbour that our served back end plays; testpmd answers for any. */
export const [GUEST_ADDRESS, PEER_ADDRESS] = ['192.168.76.2', '192.168.76.1'];
/** Modules below the kernel's folder, in the order in which they are loaded; those that are not there are built in. */
const MODULES = ['net/core/failover', 'drivers/net/net_failover', 'drivers/net/virtio_net'];

const INIT = `#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
for m in $($b cat /mod/order); do $b insmod /mod/$m || echo "guest: insmod $m failed"; done
i=0
while [ $i -lt 60 ] && [ ! -e /sys/class/net/eth0 ]; do $b sleep 0.5; i=$((i+1)); done
[ -e /sys/class/net/eth0 ] || echo "guest: no eth0"
$b ifconfig eth0 ${GUEST_ADDRESS} netmask 255.255.255.0 up
echo "guest: up $($b cat /sys/class/net/eth0/address) features $($b cat /sys/class/net/eth0/device/features)"
n=0
while :; do
  n=$((n+1))
  if $b ping -c 1 -W 2 -s 1000 ${PEER_ADDRESS} >/dev/null 2>&1; then echo "guest: echo $n"; else echo "guest: no echo $n"; fi
  $b usleep 100000
done
`;

/**
 * Makes kernel and initramfs from the system of the machine, in the system of QEMU.
 * @returns their paths as the latter sees them
 */
export async function makeSmallGuest({ root: host }, { root, release }) {
  const made = { kernel: '/lab/vmlinuz', initrd: '/lab/initrd' };
  const folder = join(host, 'lab/initramfs');
  say('make the small guest');
  rmSync(folder, { recursive: true, force: true });
  for (const name of ['bin', 'proc', 'sys', 'dev', 'mod']) mkdirSync(join(folder, name), { recursive: true });
  copyFileSync(join(root, `boot/vmlinuz-${release}`), join(host, made.kernel));
  copyFileSync(join(root, 'usr/bin/busybox'), join(folder, 'bin/busybox'));
  const order = [];
  for (const module of MODULES) {
    const packed = join(root, 'lib/modules', release, 'kernel', `${module}.ko.xz`);
    if (!existsSync(packed)) continue;
    const name = `${module.split('/').at(-1)}.ko`;
    await need('sh', ['-c', 'xz -dc "$0" >"$1"', packed, join(folder, 'mod', name)]);
    order.push(name);
  }
  writeFileSync(join(folder, 'mod/order'), `${order.join('\n')}\n`);
  writeFileSync(join(folder, 'init'), INIT);
  chmodSync(join(folder, 'init'), 0o755);
  await need('sh', ['-c', 'cd "$0" && find . | cpio -o -H newc --quiet | gzip -1 >../initrd', folder]);
  return made;
}

async function need(command, args) {
  const { code, output } = await run(command, args);
  if (code !== 0) throw new LabError(`the initramfs could not be made: ${output.trim()}`);
}
