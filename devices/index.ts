/** Devices that migrate: what helps to write one, and models. What a device is stands in `stopcopy/uapi`. */
export { DmaLog } from './dma-log.js';
export * from './e810-vf/index.js';
export {
  type ArcCallbacks,
  type ArcName,
  type LoadSession,
  MigratableDevice,
  type SaveSession,
} from './migratable.js';
export { SaveStream } from './save-stream.js';
export { Uart } from './uart/uart.js';
