/** Devices behind a VFIO driver of this host's kernel. */
export { type VfioHost, vfioTarget } from './vfio-target.js';
