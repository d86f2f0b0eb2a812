/** Devices under observation and under test. */
export { type ExecTargetOptions, execTarget } from './exec/exec-target.js';
export { type VfioHost, vfioTarget } from './kernel/index.js';
export { TARGET_KINDS, type TargetKind, targetOf } from './open.js';
export { type RecorderOptions, recorded } from './recorded.js';
export {
  type GuestRig,
  type OpenOptions,
  type Target,
  TargetError,
} from './target.js';
export { type VfioUserTargetOptions, vfioUserTarget } from './vfio-user.js';
export { VHOST_TARGET_KINDS, type VhostTargetKind, vhostTargetOf } from './vhost/open-target.js';
export type { AllocatedMemory, VhostTarget } from './vhost-target.js';
