import { type Device, DeviceError } from '../uapi/device.js';
import type { Fields, Struct, StructValue } from '../uapi/struct.js';
import type { Dialect } from './dialect.js';
import type { DmaMaps } from './dma-maps.js';

/** What the commands of one connection have in common. */
export interface Shared {
  /** As the client sees it, without P2P states. */
  readonly device: Device;
  readonly maps: DmaMaps;
  readonly dialect: Dialect;
  /** Bytes of data that a message may carry, as both sides have agreed. */
  maxData(): number;
}

/** Reads the head of a payload. @throws DeviceError EINVAL when it is too short */
export function decoded<F extends Fields>(
  layout: Struct<F>,
  payload: Uint8Array,
  offset = 0,
): StructValue<F> {
  if (payload.length < offset + layout.size)
    throw new DeviceError('EINVAL', `${layout.name}: ${payload.length} bytes are too few`);
  return layout.decode(payload, { offset });
}

/** @throws DeviceError EINVAL when a payload has not so many bytes, or says that it has others */
export function need(condition: boolean, words: string): asserts condition {
  if (!condition) throw new DeviceError('EINVAL', words);
}
