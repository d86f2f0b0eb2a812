/** Back ends of this host's kernel, as a VMM drives them. */
export { Tap } from './tap.js';
export { KERNEL_VHOST_FORMS, kernelVhostTarget } from './target.js';
export { VhostNetBackend, type VhostNetOptions, vhostNetBackend } from './vhost-net.js';
export { VhostVdpaBackend, type VhostVdpaOptions, vhostVdpaBackend } from './vhost-vdpa.js';
