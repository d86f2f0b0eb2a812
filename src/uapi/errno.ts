import { constants } from 'node:os';

/**
 * Linux error numbers by name, positive. `node:os` has the host's; those that it lacks and the
 * migration protocol uses are added with their value of `asm-generic/errno.h`, so that a log read
 * on another system gets the same names.
 */
export const ERRNO: Readonly<Record<string, number>> = {
  ...constants.errno,
  ENOTSUPP: 524,
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  ENOTTY: 25,
  ENOSPC: 28,
  ESPIPE: 29,
  EPIPE: 32,
  ENOMSG: 42,
  ENODATA: 61,
  EPROTO: 71,
  EOVERFLOW: 75,
  EOPNOTSUPP: 95,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  EREMOTEIO: 121,
  ECANCELED: 125,
};

const NAMES = new Map<number, string>();
for (const [name, number] of Object.entries(ERRNO)) NAMES.set(number, name);
NAMES.set(11, 'EAGAIN');
NAMES.set(95, 'EOPNOTSUPP');

/** The name of an error number (sign ignored), or the number in words when it has no name. */
export function errnoName(number: number): string {
  const value = Math.abs(number);
  return value === 0 ? 'OK' : (NAMES.get(value) ?? `errno ${value}`);
}
