import { DeviceError } from 'stopcopy/uapi';
import { type DeviceQueue, type DeviceQueueOptions, deviceQueue } from 'stopcopy/virtio';

/**
 * The device's side of a queue as requests have set it up.
 * @throws DeviceError EINVAL when size or base cannot be; EFAULT when it is not mapped
 */
export function openQueue(packed: boolean, options: DeviceQueueOptions): DeviceQueue {
  try {
    return deviceQueue(packed, options);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new DeviceError('EINVAL', error.message, { cause: error });
  }
}
