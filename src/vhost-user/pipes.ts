import type { Linux, Watch } from '../linux/index.js';
import { DeviceError } from '../uapi/device.js';

const BLOCK = 1 << 16;

interface PipeOptions {
  /** How long nothing may move, in milliseconds. */
  readonly timeoutMs: number;
  /** Ends it with ECANCELED. */
  readonly signal?: AbortSignal;
}

/**
 * Reads a pipe to its end.
 * @throws DeviceError EOVERFLOW when there are more than `largest` bytes; ETIMEDOUT when nothing comes
 */
export function readToEnd(
  linux: Linux,
  fd: number,
  options: PipeOptions & { readonly largest: number },
): Promise<Uint8Array> {
  const { largest } = options;
  const parts: Uint8Array[] = [];
  let length = 0;
  const block = new Uint8Array(BLOCK);
  return moving(linux, fd, { readable: true }, options, () => {
    const size = linux.read(fd, block);
    if (size === null) return undefined;
    if (size === 0) return Buffer.concat(parts);
    length += size;
    if (length > largest) throw new DeviceError('EOVERFLOW', `a device state of more than ${largest} bytes`);
    parts.push(block.slice(0, size));
    return undefined;
  });
}

/**
 * Writes all bytes into a pipe.
 * @throws DeviceError EPIPE when nobody reads; ETIMEDOUT when nothing is taken
 */
export async function writeWhole(
  linux: Linux,
  fd: number,
  bytes: Uint8Array,
  options: PipeOptions,
): Promise<void> {
  let rest = bytes;
  if (rest.length === 0) return;
  await moving(linux, fd, { writable: true }, options, () => {
    const size = linux.write(fd, rest.subarray(0, BLOCK));
    rest = rest.subarray(size ?? 0);
    return rest.length === 0 ? true : undefined;
  });
}

/** Calls `step` whenever the descriptor is ready, until it returns something. */
function moving<T>(
  linux: Linux,
  fd: number,
  interest: { readable?: boolean; writable?: boolean },
  { timeoutMs, signal }: PipeOptions,
  step: () => T | undefined,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let watch: Watch | undefined;
    let timer: NodeJS.Timeout | undefined;
    const end = (settle: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', cancel);
      watch?.close();
      settle();
    };
    const fail = (code: string, message: string) => end(() => reject(new DeviceError(code, message)));
    const cancel = () => fail('ECANCELED', 'the transfer of a device state was given up');
    const wait = () => {
      clearTimeout(timer);
      const text = `a device state has not moved for ${timeoutMs / 1000} s`;
      timer = setTimeout(() => fail('ETIMEDOUT', text), timeoutMs);
    };
    if (signal?.aborted) return cancel();
    signal?.addEventListener('abort', cancel);
    try {
      watch = linux.watch(fd, interest, ({ failed }) => {
        try {
          const result = step();
          if (result !== undefined) end(() => resolve(result));
          else if (failed) fail('EPIPE', 'the other side of a device state is gone');
          else wait();
        } catch (error) {
          end(() => reject(error));
        }
      });
      wait();
    } catch (error) {
      end(() => reject(error));
    }
  });
}
