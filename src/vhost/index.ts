/** The VMM's half of vhost: the order of its requests, the dirty log, shadow virtqueues. */
export {
  type ControlCommand,
  ControlState,
  decodeCommands,
  encodeCommands,
  parseCommand,
} from './control-state.js';
export { VhostDevice, type VhostDeviceOptions } from './device.js';
export { DirtyLog, markPages, runsOf } from './dirty-log.js';
export { IovaTree } from './iova-tree.js';
export { type BackendRecorderOptions, recordedBackend } from './recorded-backend.js';
export { ShadowVirtqueue } from './shadow-virtqueue.js';
export type { VhostRing, VirtioState } from './virtio-state.js';
export type { VmmEvent } from './vmm-event.js';
