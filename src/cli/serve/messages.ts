import type { Device } from '../../uapi/device.js';
import type { DmaRequest } from './blocking-memory.js';
import type { Operations } from './operations.js';

/** What the thread of a device is started with. */
export interface DeviceSetup {
  /** As `--device` takes it. */
  readonly text: string;
  readonly name: string;
  readonly seed: number;
  /** Memory of the `DmaWindow`. */
  readonly window: SharedArrayBuffer;
}

/** What it says of its device when it is there. */
export interface DeviceTraits extends Pick<Device, 'name' | 'flags' | 'offersReset'> {
  readonly logs: boolean;
  /** Sizes and numbers by VFIO index. */
  readonly regions: readonly number[];
  readonly irqs: readonly number[];
}

export interface Call {
  readonly id: number;
  readonly operation: keyof Operations;
  readonly args: readonly unknown[];
}

export type Answer =
  | { readonly id: number; readonly result: unknown }
  /** `code` of a `DeviceError`; null: the device has crashed. */
  | { readonly id: number; readonly code: string | null; readonly message: string };

/** From the thread of the device. */
export type FromDevice =
  | { readonly ready: DeviceTraits }
  /** There can be no such device: why, for people. */
  | { readonly refused: string }
  | Answer
  | DmaRequest;
