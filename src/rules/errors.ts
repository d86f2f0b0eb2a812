import { ERRNO } from '../uapi/errno.js';

const numbers = (...names: string[]): ReadonlySet<number> => new Set(names.map((name) => ERRNO[name]!));

const OF_A_MOMENT = numbers('EAGAIN', 'EINTR', 'EBUSY', 'ENOMEM');
const OF_THE_HARDWARE = numbers('EIO', 'ENODEV', 'ENXIO', 'ETIMEDOUT', 'ENOTCONN', 'EREMOTEIO');

/**
 * What an error of a request says: `moment` that it may work when it is made again, `hardware` that the
 * device itself does not answer, which no text forbids it, and `driver` that the driver does not want to.
 */
export function blame(errno: number): 'moment' | 'hardware' | 'driver' {
  if (OF_A_MOMENT.has(errno)) return 'moment';
  return OF_THE_HARDWARE.has(errno) ? 'hardware' : 'driver';
}
