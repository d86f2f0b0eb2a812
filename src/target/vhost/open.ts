import { type Linux, OPEN } from '../../linux/index.js';
import { DeviceError } from '../../uapi/device.js';
import { ERRNO } from '../../uapi/errno.js';
import { TargetError } from '../target.js';

/** What is told when a file cannot be opened. */
export interface FileAdvice {
  /** What to do when it is not there. */
  readonly missing: string;
  /** What to do without the permission. */
  readonly denied: string;
}

/**
 * Opens a device file.
 * @param uri as the user wrote it; errors begin with it
 * @throws TargetError when that is not possible
 */
export function openFile(linux: Linux, uri: string, path: string, advice: FileAdvice, flags = 0): number {
  try {
    return linux.open(path, OPEN.RDWR | flags);
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    throw new TargetError(`${uri}: ${whyNot(error, path, advice)}`);
  }
}

function whyNot({ errno, message }: DeviceError, path: string, { missing, denied }: FileAdvice): string {
  switch (errno) {
    case ERRNO.ENOENT:
      return `there is no ${path}: ${missing}`;
    case ERRNO.ENODEV:
    case ERRNO.ENXIO:
      return `there is nothing behind ${path}: ${missing}`;
    case ERRNO.EACCES:
    case ERRNO.EPERM:
      return `no permission for ${path}: ${denied}`;
    case ERRNO.EBUSY:
      return `${path} is in use by another program, such as QEMU: end it`;
    default:
      return message;
  }
}

/** Makes calls that set a target up. @throws TargetError for what they fail with */
export function settingUp<T>(uri: string, what: string, calls: () => T): T {
  try {
    return calls();
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    throw new TargetError(`${uri}: ${what} fails: ${error.message}`);
  }
}
