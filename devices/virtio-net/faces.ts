import type { NetBackEnd, NetBackEndOptions } from './back-end.js';
import { conductWith, netFaultNamed } from './faults.js';
import { KernelFace } from './kernel-face.js';
import { UserFace } from './user-face.js';
import { VdpaFace } from './vdpa-face.js';

/** The interfaces that the back end has, by the names of `--device virtio-net:FACE`. */
export const VIRTIO_NET_FACES = ['vhost', 'vhost-user', 'vdpa'] as const;
export type VirtioNetFace = (typeof VIRTIO_NET_FACES)[number];

const FACES = { vhost: KernelFace, 'vhost-user': UserFace, vdpa: VdpaFace } as const;

/**
 * A virtio-net back end behind one of its interfaces.
 * @param fault the name of one of `NET_FAULTS`; the default is a device without
 * @throws RangeError when no fault is called so, and for more queue pairs than a face has
 */
export function virtioNetBackEnd(
  face: VirtioNetFace,
  { fault, ...options }: NetBackEndOptions & { readonly fault?: string },
): NetBackEnd {
  const conduct = fault === undefined ? {} : { conduct: conductWith(netFaultNamed(fault)) };
  return new FACES[face]({ ...options, ...conduct });
}
