import { VHOST_IOTLB } from '../../uapi/vhost.js';
import type { EventOf } from '../event.js';

type IotlbType = EventOf<'vhost_iotlb'>['type'];

const TYPES = new Map<number, IotlbType>(
  Object.entries(VHOST_IOTLB).map(([name, number]) => [number, name.toLowerCase() as IotlbType]),
);

/** The type of an IOTLB message as events spell it. */
export function iotlbType(number: number): IotlbType | undefined {
  return TYPES.get(number);
}
