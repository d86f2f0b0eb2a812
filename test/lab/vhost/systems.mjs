// The lab's two Debians of one release: one to run QEMU and DPDK in, one for the machine whose kernel has vhost.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bootstrap, LabError, run, say } from '../debian.mjs';

/** Linux 6.12, QEMU 10.0, DPDK 24.11, Node 20. */
const SUITE = 'trixie';
const HOST_PACKAGES = ['qemu-system-x86', 'seabios'];
const DPDK_PACKAGES = ['dpdk-dev', 'librte-net-vhost25'];
const GUEST_PACKAGES = [
  ...['nodejs', 'gcc', 'libc6-dev', 'make', 'kmod', 'busybox-static', 'xz-utils', 'strace', 'iproute2'],
  ...['linux-image-amd64', 'linux-headers-amd64'],
];
/** What nobody reads in a system that lives for some minutes. */
const DPKG = `force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/man/*
`;
const APT = 'apt-get -q -o Acquire::Check-Valid-Until=false';
const INSTALL = `${APT} install -y --no-install-recommends`;
const READY = 'var/lab-vhost-ready';
/** What is there when the guest's root folder is complete. */
export const GUEST_READY = READY;

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
    throw new LabError(`in the Debian of the lab: ${output.trim().split('\n').slice(-3).join(' / ')}`);
  return output;
}

/** Makes a Debian with packages, unless it is there from before. */
async function makeSystem(root, packages, more) {
  await bootstrap({ suite: SUITE, root, include: ['ca-certificates'] });
  if (existsSync(join(root, READY))) return;
  writeFileSync(join(root, 'etc/dpkg/dpkg.cfg.d/lab'), DPKG);
  say(`install ${packages.join(', ')}`);
  await inRoot(root, `${APT} update; ${INSTALL} ${packages.join(' ')}`);
  await more();
  await inRoot(root, `apt-get clean; rm -rf /var/lib/apt/lists/*; touch /${READY}`);
}

/**
 * The system of QEMU and testpmd.
 * @returns its folder, and why there is no testpmd in it, or null
 */
export async function makeHost(folder) {
  const root = join(folder, 'host');
  await makeSystem(root, HOST_PACKAGES, async () => {
    say(`install ${DPDK_PACKAGES.join(', ')}`);
    // Its packages carry the version in their names: a lab without them goes on.
    await inRoot(root, `${INSTALL} ${DPDK_PACKAGES.join(' ')}`).catch(({ message }) => say(message));
  });
  // DPDK counts processors there; the lab takes the mounts away at its end.
  for (const [type, name] of [
    ['proc', 'proc'],
    ['sysfs', 'sys'],
  ])
    mountIn(root, type, name);
  mkdirSync(join(root, 'run/lab'), { recursive: true, mode: 0o700 });
  return {
    root,
    noDpdk: existsSync(join(root, 'usr/bin/dpdk-testpmd')) ? null : 'Debian has no testpmd here',
  };
}

function mountIn(root, type, name) {
  const point = join(root, name);
  if (readFileSync('/proc/self/mounts', 'utf8').includes(` ${point} `)) return;
  const { status, stderr } = spawnSync('mount', ['-t', type, type, point], { encoding: 'utf8' });
  if (status !== 0) throw new LabError(`mount of ${type} at ${point}: ${stderr.trim()}`);
}

/**
 * The system of the machine with kernel vhost.
 * @returns its folder, and the release of its kernel
 */
export async function makeGuestSystem(folder) {
  const root = join(folder, 'root');
  await makeSystem(root, GUEST_PACKAGES, () => buildSimulator(root, releaseOf(root)));
  return { root, release: releaseOf(root) };
}

function releaseOf(root) {
  const [release, ...others] = readdirSync(join(root, 'lib/modules'));
  if (release === undefined || others.length > 0) throw new LabError('expected one kernel in the guest');
  return release;
}

/** The vDPA simulator and what it makes rings with, which Debian's kernel leaves out. */
const SOURCES = ['drivers/vdpa/vdpa_sim/*', 'drivers/vhost/vringh.c'];
const MODULES = ['vringh', 'vdpa_sim', 'vdpa_sim_net'];

/** Modules from the sources of the same kernel (`linux-source` and image are of one version), in /opt/vdpa. */
async function buildSimulator(root, release) {
  say(`build ${MODULES.join(', ')} for Linux ${release}`);
  const series = /^\d+\.\d+/.exec(release)[0];
  rmSync(join(root, 'opt/vdpa'), { recursive: true, force: true });
  const wanted = SOURCES.map((name) => `'linux-source-${series}/${name}'`).join(' ');
  await inRoot(
    root,
    `mkdir -p /opt/vdpa; cd /opt/vdpa
     version=$(dpkg-query -W -f '\${Version}' linux-image-${release})
     ${APT} download linux-source-${series}=$version
     dpkg-deb --fsys-tarfile linux-source-*.deb | tar xO ./usr/src/linux-source-${series}.tar.xz | xz -dcT0 |
       tar x --strip-components=1 --wildcards ${wanted}
     rm linux-source-*.deb
     mv drivers/vdpa/vdpa_sim/*.[ch] drivers/vhost/vringh.c .; rm -r drivers
     echo 'obj-m := ${MODULES.map((name) => `${name}.o`).join(' ')}' >Kbuild
     make -s -j2 -C /usr/src/linux-headers-${release} M=/opt/vdpa KCFLAGS=-DCONFIG_VHOST_RING=1 modules`,
  );
}
