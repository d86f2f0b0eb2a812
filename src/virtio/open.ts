import { PackedDeviceQueue } from './packed-device.js';
import { PackedDriverQueue } from './packed-driver.js';
import type { DeviceQueue, DeviceQueueOptions, DriverQueue, DriverQueueOptions } from './queue.js';
import { SplitDeviceQueue } from './split-device.js';
import { SplitDriverQueue } from './split-driver.js';

/** The device's side of a queue. @throws RangeError when size or base cannot be; DeviceError EFAULT: not mapped */
export function deviceQueue(packed: boolean, options: DeviceQueueOptions): DeviceQueue {
  return packed ? new PackedDeviceQueue(options) : new SplitDeviceQueue(options);
}

/** The driver's side of a queue that begins, or goes on. */
export function driverQueue(packed: boolean, options: DriverQueueOptions): DriverQueue {
  return packed ? new PackedDriverQueue(options) : new SplitDriverQueue(options);
}
