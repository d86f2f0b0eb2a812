import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { TargetError } from '../target.js';

/** Where a device is, and how it can be opened. */
export interface Place {
  /** As the bus names it, such as `0000:3b:00.1`. */
  name: string;
  /** Name of the bound driver, or null. */
  driver: string | null;
  /** Its character device below `/dev/vfio/devices`, or null. */
  cdev: string | null;
  /** The file of its IOMMU group, `/dev/vfio/N`, or null. */
  group: string | null;
}

/** What is looked up in sysfs and /dev. */
export interface Files {
  exists(path: string): boolean;
  /** Names in a folder; none when there is no such folder. */
  list(path: string): string[];
  /** The last part of what a link points at, or null. */
  link(path: string): string | null;
}

export const HOST_FILES: Files = {
  exists: existsSync,
  list: (path) => (existsSync(path) ? readdirSync(path) : []),
  link: (path) => {
    try {
      return basename(readlinkSync(path));
    } catch {
      return null;
    }
  },
};

const CDEV = /^\/dev\/vfio\/devices\/(vfio\d{1,10})$/;
const SYSFS = /^\/sys\/bus\/([\w-]{1,32})\/devices\/([\w:.-]{1,128})\/?$/;
const BDF = /^(?:([\da-f]{4,8}):)?([\da-f]{2}:[\da-f]{2}\.[0-7])$/i;
const UUID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i;

/**
 * Finds a device.
 * @param uri as the user wrote it, for errors
 * @param address a file below /dev/vfio/devices, a PCI address, a UUID of a mediated device, or its folder
 * below /sys/bus
 * @throws TargetError when it is no address, there is no such device, or its driver is not a VFIO driver
 */
export function locate(uri: string, address: string, files: Files): Place {
  const cdev = CDEV.exec(address)?.[1];
  return cdev === undefined ? bySysfs(uri, address, files) : byCdev(uri, cdev, files);
}

function byCdev(uri: string, node: string, files: Files): Place {
  const cdev = `/dev/vfio/devices/${node}`;
  if (!files.exists(cdev)) {
    const others = files.list('/dev/vfio/devices');
    throw new TargetError(
      others.length > 0
        ? `${uri}: there is no such device; there are ${others.join(', ')}`
        : `${uri}: there is no such device: no driver of VFIO has one, or this kernel makes no such files (CONFIG_VFIO_DEVICE_CDEV); try vfio:ADDRESS with a PCI address or a UUID`,
    );
  }
  const folder = `/sys/class/vfio-dev/${node}/device`;
  return { name: files.link(folder) ?? node, driver: files.link(`${folder}/driver`), cdev, group: null };
}

function bySysfs(uri: string, address: string, files: Files): Place {
  const folder = folderOf(uri, address);
  const name = basename(folder);
  if (!files.exists(folder)) {
    throw new TargetError(`${uri}: there is no device ${name}; it would be ${folder}`);
  }
  const driver = files.link(`${folder}/driver`);
  const node = files.list(`${folder}/vfio-dev`)[0];
  const number = files.link(`${folder}/iommu_group`);
  const group = number === null ? null : `/dev/vfio/${number}`;
  const cdev = node === undefined ? null : `/dev/vfio/devices/${node}`;
  const place: Place = {
    name,
    driver,
    cdev: cdev !== null && files.exists(cdev) ? cdev : null,
    group: group !== null && files.exists(group) ? group : null,
  };
  // Kernels before 6.1 have no folder vfio-dev: there the group's file is the sign.
  if (node === undefined && place.group === null) throw notVfio(uri, place);
  return place;
}

function folderOf(uri: string, address: string): string {
  const [, bus, device] = SYSFS.exec(address) ?? [];
  if (bus !== undefined && device !== undefined) return `/sys/bus/${bus}/devices/${device}`;
  const [, domain = '0000', slot] = BDF.exec(address) ?? [];
  if (slot !== undefined) return `/sys/bus/pci/devices/${domain}:${slot}`.toLowerCase();
  if (UUID.test(address)) return `/sys/bus/mdev/devices/${address.toLowerCase()}`;
  throw new TargetError(
    `${uri}: expected vfio:/dev/vfio/devices/vfioN, vfio:0000:3b:00.1 (a PCI address), or vfio:UUID (a mediated device)`,
  );
}

/** For a device that another kind of driver has, or none. */
export function notVfio(uri: string, { name, driver }: Place): TargetError {
  const has = driver === null ? 'no driver is bound to it' : `its driver is ${driver}, which is not of VFIO`;
  return new TargetError(
    `${uri}: ${has}; bind the variant driver of the device: driverctl set-override ${name} DRIVER, or load its module`,
  );
}
