/** A virtio-net back end with real rings, behind kernel vhost, vhost-user and vhost-vdpa; its faults, and a rig. */
export { NET_FEATURES, type NetBackEnd, type NetBackEndOptions, type VirtioNetBackEnd } from './back-end.js';
export { VIRTIO_NET_FACES, type VirtioNetFace, virtioNetBackEnd } from './faces.js';
export type { NetFault, RigProblemKind } from './fault.js';
export { conductWith, NET_FAULTS, netFaultNamed } from './faults.js';
export { KERNEL_FEATURES, KernelFace } from './kernel-face.js';
export type { Observer } from './log.js';
export type { Pace } from './net-device.js';
export { type RigOptions, type RigProblem, type RigResult, runNetRig } from './rig.js';
export { NetSettings } from './settings.js';
export { USER_FEATURES, USER_PROTOCOL_FEATURES, UserFace } from './user-face.js';
export { VDPA_BACKEND_FEATURES, VDPA_FEATURES, VDPA_GROUPS, VdpaFace } from './vdpa-face.js';
export { DeadPort, EchoPort, NetFrames, NetWire, type Port } from './wire.js';
