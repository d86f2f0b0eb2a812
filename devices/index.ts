/** Devices that migrate: what helps to write one, and models. What a device is stands in `stopcopy/uapi`. */
export {
  DEVICE_DEFAULTS,
  DEVICE_MODELS,
  type DeviceDefaults,
  deviceFactory,
  vhostFactory,
} from './catalog.js';
export { DmaLog } from './dma-log.js';
export * from './e810-vf/index.js';
export { FAULTS, type Fault, faultNamed, faulty } from './faults/index.js';
export {
  type ArcCallbacks,
  type ArcName,
  type LoadSession,
  MigratableDevice,
  type SaveSession,
} from './migratable.js';
export { mockTarget } from './mock-target.js';
export { openTarget } from './open-target.js';
export { isVhostTarget, openVhostTarget } from './open-vhost-target.js';
export { SaveStream } from './save-stream.js';
export { Uart } from './uart/uart.js';
export * from './virtio-net/index.js';
