/** Devices that migrate: what a device is, what helps to write one, and models. */
export { type Awaitable, type DataFd, type Device, DeviceError, type DmaLogging } from './device.js';
export { DmaLog } from './dma-log.js';
export * from './e810-vf/index.js';
export {
  type ArcCallbacks,
  type ArcName,
  type LoadSession,
  MigratableDevice,
  type SaveSession,
} from './migratable.js';
export { type RecorderOptions, recorded } from './recorder.js';
export { SaveStream } from './save-stream.js';
export { Uart } from './uart/uart.js';
