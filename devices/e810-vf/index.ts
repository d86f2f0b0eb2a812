/** An E810 VF that migrates, and its device states in both published generations. */

export { digestOfVfState } from './digest.js';
export { E810Vf, type E810VfOptions } from './e810-vf.js';
export type { VfEnvironment } from './environment.js';
export { type E810VfFactoryOptions, type E810VfRates, e810VfFactory } from './factory.js';
export { IavfDriver, type IavfOptions } from './iavf/driver.js';
export type { Registers } from './iavf/mailbox.js';
export * from './image-a.js';
export * from './image-a-extension.js';
export * from './image-a-layout.js';
export * from './image-b.js';
export * from './image-b-layout.js';
export * from './image-error.js';
export * from './image-extension-layout.js';
export * from './image-record.js';
export {
  type Certainty,
  describeFields,
  type FieldValue,
  fieldSize,
  type ImageRow,
  type LayoutField,
  type LayoutValue,
  layoutSize,
  typeName,
} from './layout.js';
export { PEER_MAC, TRAFFIC_VLANS, Traffic, type TrafficPlan } from './traffic.js';
export { newVfState, type VfState } from './vf-state.js';
export { rarpAnnouncement, Wire, type WireOptions, type WireState, wireDescription } from './wire.js';
