// A guest of the release's own kernel and of busybox: it lists its PCI functions and loads iavf, the driver
// of the VF. What it finds it tells on its serial line.
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { LabError, run, say } from '../debian.mjs';

/** Modules that iavf needs, in the order in which they are loaded. */
const MODULES = ['libeth', 'libie', 'libie_adminq', 'iavf'];

const INIT = `#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
for d in /sys/bus/pci/devices/*; do
  echo "guest: pci $($b basename $d) $($b cat $d/vendor) $($b cat $d/device) $($b cat $d/class)"
done
for m in ${MODULES.join(' ')}; do
  [ ! -e /mod/$m.ko ] || $b insmod /mod/$m.ko || echo "guest: insmod $m failed"
done
i=0
while [ $i -lt 60 ] && [ ! -e /sys/class/net/eth0 ]; do
  $b sleep 0.5
  i=$((i+1))
done
[ -e /sys/class/net/eth0 ] && echo "guest: eth0 $($b cat /sys/class/net/eth0/address) $($b basename $($b readlink /sys/class/net/eth0/device/driver))"
$b dmesg | $b grep iavf | $b sed 's/^/guest: dmesg /'
echo "guest: done"
while :; do $b sleep 60; done
`;

/** A command in the root folder of the other release; its output. */
async function inRoot(root, script) {
  const { code, output } = await run('chroot', [root, 'sh', '-ec', script], { timeout: 300_000 });
  if (code !== 0) throw new LabError(`in the Debian of the lab: ${output.trim().split('\n').at(-1)}`);
  return output;
}

/** Fetches the packages and takes them apart, without the making of an initramfs that installing would bring. */
async function fetchKernel(root, folder) {
  const apt = 'apt-get -q -o Acquire::Check-Valid-Until=false';
  const depends =
    'apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances';
  say('fetch the kernel of the guest');
  await inRoot(
    root,
    `${apt} update >/dev/null; rm -rf /kernel; mkdir /kernel; cd /kernel
     names=$(${depends} linux-image-amd64 | grep -E '^linux-(image|binary|modules)-[0-9].*-amd64$' | sort -u)
     ${apt} download busybox-static $names >/dev/null 2>&1
     for d in *.deb; do dpkg-deb -x $d ${folder}; done; rm *.deb`,
  );
}

const find = (folder, wanted) => {
  const path = readdirSync(folder, { recursive: true, encoding: 'utf8' }).find((name) => wanted.test(name));
  return path === undefined ? null : join(folder, path);
};

/**
 * Makes kernel and initramfs in the root folder.
 * @returns their paths as the root folder sees them
 */
export async function makeGuest(root) {
  const made = { kernel: '/kernel/vmlinuz', initrd: '/kernel/initrd' };
  if (existsSync(join(root, made.initrd))) return made;
  await fetchKernel(root, '/kernel/files');
  const files = join(root, 'kernel/files');
  const initramfs = join(root, 'kernel/initramfs');
  rmSync(initramfs, { recursive: true, force: true });
  for (const name of ['bin', 'proc', 'sys', 'dev', 'mod'])
    mkdirSync(join(initramfs, name), { recursive: true });
  const need = (wanted) => {
    const path = find(files, wanted);
    if (path === null) throw new LabError(`the packages of the kernel hold no ${wanted.source}`);
    return path;
  };
  copyFileSync(need(/(^|\/)vmlinuz[^/]*$/), join(root, made.kernel));
  copyFileSync(need(/bin\/busybox$/), join(initramfs, 'bin/busybox'));
  for (const module of MODULES) {
    // Older kernels have not all of them: what they are for is in iavf itself there.
    const path = find(files, new RegExp(`/${module}\\.ko(\\.xz)?$`));
    if (path === null) continue;
    const copy = join(initramfs, 'mod', basename(path));
    copyFileSync(path, copy);
    if (copy.endsWith('.xz')) await run('xz', ['-d', '-f', copy]);
  }
  writeFileSync(join(initramfs, 'init'), INIT);
  chmodSync(join(initramfs, 'init'), 0o755);
  const { code, output } = await run('sh', [
    '-c',
    `cd ${initramfs} && find . | cpio -o -H newc --quiet | gzip -1 > ../initrd`,
  ]);
  if (code !== 0) throw new LabError(`the initramfs could not be made: ${output}`);
  rmSync(files, { recursive: true });
  return made;
}
