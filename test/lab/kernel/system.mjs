// The guest's Debian: a root folder with Node, bpftrace and a compiler, and kernel modules built for it.
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bootstrap, LabError, run, say } from '../debian.mjs';

/** Linux 6.12, Node 20. */
const SUITE = 'trixie';
const PACKAGES = ['nodejs', 'bpftrace', 'gcc', 'libc6-dev', 'make', 'kmod', 'busybox-static', 'xz-utils'];
const KERNEL = ['linux-image-amd64', 'linux-headers-amd64'];
/** What nobody reads in a guest that lives for some minutes. */
const DPKG = `force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/man/*
`;

/** What is there when the root folder is complete. */
export const MADE_LAST = 'opt/iommufd/complete';

/** A command in a root folder; its output. */
export async function inRoot(root, script, timeout = 600_000) {
  const { code, output } = await run('chroot', [root, 'sh', '-ec', script], {
    timeout,
    env: {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      LC_ALL: 'C.UTF-8',
      DEBIAN_FRONTEND: 'noninteractive',
      // The lab makes an initramfs of its own.
      INITRD: 'No',
    },
  });
  if (code !== 0)
    throw new LabError(`in the guest's Debian: ${output.trim().split('\n').slice(-3).join(' / ')}`);
  return output;
}

/**
 * Makes the guest's root folder, unless it is there from before.
 * @returns the folder, and the release of its kernel
 */
export async function makeSystem(folder) {
  const root = join(folder, 'root');
  await bootstrap({ suite: SUITE, root, include: ['ca-certificates'] });
  if (!existsSync(join(root, MADE_LAST))) {
    writeFileSync(join(root, 'etc/dpkg/dpkg.cfg.d/lab'), DPKG);
    say(`install ${[...PACKAGES, ...KERNEL].join(', ')}`);
    const apt = 'apt-get -q -o Acquire::Check-Valid-Until=false';
    await inRoot(
      root,
      `${apt} update; ${apt} install -y --no-install-recommends ${[...PACKAGES, ...KERNEL].join(' ')}`,
    );
    await buildModules(root, releaseOf(root), apt);
    await inRoot(root, `apt-get clean; rm -rf /var/lib/apt/lists/*; touch /${MADE_LAST}`);
  }
  return { root, release: releaseOf(root) };
}

function releaseOf(root) {
  const [release, ...others] = readdirSync(join(root, 'lib/modules'));
  if (release === undefined || others.length > 0) throw new LabError('expected one kernel in the guest');
  return release;
}

/** Parts of the kernel's sources: the sample driver, and VFIO with IOMMUFD. */
const SOURCES = [
  'samples/vfio-mdev/mtty.c',
  'drivers/vfio/*.[ch]',
  'drivers/vfio/Makefile',
  'drivers/iommu/*.h',
  'drivers/iommu/iommufd/*.[ch]',
  'lib/interval_tree.c',
];
const IOMMUFD_OBJECTS = [
  'device',
  'fault',
  'hw_pagetable',
  'io_pagetable',
  'ioas',
  'main',
  'pages',
  'vfio_compat',
];
/** Part of the kernel itself where IOMMUFD is on; here parts of the module. */
const BUILT_IN_OBJECTS = ['iova_bitmap', 'interval_tree_span'];
/** What the kernel's configuration leaves out, for its build and for its sources. */
const WITH_IOMMUFD = [
  ...['CONFIG_IOMMUFD=m', 'CONFIG_VFIO_DEVICE_CDEV=y'],
  ...['CONFIG_VFIO_IOMMU_TYPE1=', 'CONFIG_VFIO_PCI_CORE=', 'CONFIG_VFIO_MDEV='],
];
const FLAGS = ['IOMMUFD', 'IOMMUFD_DRIVER', 'VFIO_DEVICE_CDEV', 'INTERVAL_TREE_SPAN_ITER'];
/** The kernel has the other functions of this file, and exports them. */
const SPAN = `#include <linux/export.h>
#undef EXPORT_SYMBOL_GPL
#define EXPORT_SYMBOL_GPL(symbol)
#include "../../../lib/interval_tree.c"
`;

/**
 * Modules from the sources of the same kernel (`linux-source` and image are of one version): mtty as it is
 * in /opt/mtty, and in /opt/iommufd the same with VFIO and IOMMUFD, which Debian's kernel has not.
 */
async function buildModules(root, release, apt) {
  say(`build mtty and VFIO with IOMMUFD for Linux ${release}`);
  const series = /^\d+\.\d+/.exec(release)[0];
  const source = join(root, 'opt/iommufd');
  for (const folder of ['opt/mtty', 'opt/iommufd', 'opt/modules'])
    rmSync(join(root, folder), { recursive: true, force: true });
  for (const folder of ['opt/mtty', 'opt/modules', 'opt/iommufd/drivers/iommu/iommufd'])
    mkdirSync(join(root, folder), { recursive: true });
  const wanted = SOURCES.map((name) => `'linux-source-${series}/${name}'`).join(' ');
  await inRoot(
    root,
    `cd /opt/iommufd
     version=$(dpkg-query -W -f '\${Version}' linux-image-${release})
     ${apt} download linux-source-${series}=$version
     dpkg-deb --fsys-tarfile linux-source-*.deb | tar xO ./usr/src/linux-source-${series}.tar.xz | xz -dcT0 |
       tar x --strip-components=1 --wildcards ${wanted}
     rm linux-source-*.deb
     cp samples/vfio-mdev/mtty.c .; mv samples/vfio-mdev/mtty.c /opt/mtty`,
  );
  writeFileSync(join(root, 'opt/mtty/Kbuild'), 'obj-m := mtty.o\n');
  writeFileSync(join(source, 'Kbuild'), 'obj-m := drivers/iommu/iommufd/ drivers/vfio/ mtty.o\n');
  const objects = [...IOMMUFD_OBJECTS, ...BUILT_IN_OBJECTS].map((name) => `${name}.o`).join(' ');
  const iommufd = join(source, 'drivers/iommu/iommufd');
  writeFileSync(join(iommufd, 'Makefile'), `iommufd-y := ${objects}\nobj-m := iommufd.o\n`);
  writeFileSync(join(iommufd, 'interval_tree_span.c'), SPAN);
  const flags = FLAGS.map((name) => `-DCONFIG_${name}=1`).join(' ');
  const make = `make -s -j2 -C /usr/src/linux-headers-${release}`;
  await inRoot(
    root,
    `${make} M=/opt/mtty modules
     ${make} M=/opt/iommufd ${WITH_IOMMUFD.join(' ')} KCFLAGS='${flags}' modules
     find /opt/iommufd -name '*.ko' -exec mv {} /opt/modules ';'
     rm -r /opt/iommufd; mv /opt/modules /opt/iommufd`,
  );
}
