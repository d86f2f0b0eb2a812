import { CONDUCT, type Conduct } from './conduct.js';
import type { NetFault } from './fault.js';
import { LOG_FAULTS } from './faults-log.js';
import { ORDER_FAULTS } from './faults-order.js';

/** All faults of the network device. */
export const NET_FAULTS: readonly NetFault[] = [...LOG_FAULTS, ...ORDER_FAULTS];

/**
 * The fault of virtio-net with this name.
 * @throws RangeError when none is called so; the message names those there are
 */
export function netFaultNamed(name: string): NetFault {
  const fault = NET_FAULTS.find((each) => each.name === name);
  if (fault) return fault;
  const names = NET_FAULTS.map((each) => each.name).join(', ');
  throw new RangeError(`no fault of virtio-net is called ${name}; there are ${names}`);
}

/** How a device with this fault decides. */
export const conductWith = (fault: NetFault): Conduct => ({ ...CONDUCT, ...fault.conduct });
