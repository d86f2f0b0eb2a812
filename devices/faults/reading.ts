/** Faults in what is read while the state is saved. */
import { inPreCopy, inSavingGroup } from 'stopcopy/machines';
import {
  type DataFd,
  type Device,
  DeviceError,
  type MigState,
  type PrecopyBytes,
  refusalOf,
} from 'stopcopy/uapi';
import type { Fault } from './fault.js';
import { onFd, wrapFd } from './wrap.js';

/** An image of device state is at most this long in the drivers that give it a fixed size. */
const FIXED_IMAGE = 128 * 1024;

/** read() after the first one begins at the start of the buffer again. */
function rereading(fd: DataFd): DataFd {
  let start: Uint8Array | null = null;
  return wrapFd(fd, {
    read: async (into) => {
      const size = await fd.read(into);
      if (start === null && size > 0) start = into.slice(0, size);
      else if (start !== null) into.set(start.subarray(0, size));
      return size;
    },
  });
}

/** Takes all that there is for now, lets it be changed, and gives it out in pieces as long as the session lasts. */
function inBatches(fd: DataFd, lasts: () => Promise<boolean>, change: (bytes: Uint8Array) => void): DataFd {
  let rest: Uint8Array = new Uint8Array(0);
  let end: (() => number) | null = null;
  const fetch = async () => {
    const parts: Uint8Array[] = [];
    const piece = new Uint8Array(65536);
    for (;;) {
      let size = 0;
      const error = await refusalOf(async () => {
        size = await fd.read(piece);
      });
      if (size > 0) parts.push(piece.slice(0, size));
      else {
        end = () => {
          if (error) throw error;
          return 0;
        };
        break;
      }
    }
    rest = Buffer.concat(parts);
    change(rest);
  };
  return wrapFd(fd, {
    read: async (into) => {
      if (into.length === 0 || !(await lasts())) return fd.read(into);
      if (rest.length === 0) await fetch();
      if (rest.length === 0) return end!();
      const size = Math.min(into.length, rest.length);
      into.set(rest.subarray(0, size));
      rest = rest.subarray(size);
      return size;
    },
  });
}

/** Puts the halves of a 64-bit word that looks like an address of a ring in the wrong order. */
function swapHalves(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + 8 <= bytes.length; at += 4) {
    const word = view.getBigUint64(at, true);
    if (word < 0x1000n || word >= 1n << 48n || word % 128n !== 0n) continue;
    view.setBigUint64(at, (word << 32n) | (word >> 32n), true);
    return;
  }
}

function padded(fd: DataFd): DataFd {
  let given = 0;
  return wrapFd(fd, {
    read: async (into) => {
      const size = await fd.read(into);
      if (size > 0 || into.length === 0) {
        given += size;
        return size;
      }
      const zeros = Math.max(0, Math.min(into.length, FIXED_IMAGE - given));
      into.fill(0, 0, zeros);
      given += zeros;
      return zeros;
    },
  });
}

/** Precopy info that is answered where it has no meaning, from what it said last. */
function staleInfo(fd: DataFd): DataFd {
  let last: PrecopyBytes = { initial: 0n, dirty: 0n };
  return wrapFd(fd, {
    precopyInfo: async () => {
      try {
        last = await fd.precopyInfo();
      } catch (error) {
        if (!(error instanceof DeviceError) || error.code !== 'EINVAL') throw error;
      }
      return last;
    },
  });
}

/** A read of a state's data fails once; later ones work. */
function failingOnce(fd: DataFd, code: string, words: string, applies: () => Promise<boolean>): DataFd {
  let failed = false;
  return wrapFd(fd, {
    read: async (into) => {
      if (!failed && (await applies())) {
        failed = true;
        throw new DeviceError(code, words);
      }
      return fd.read(into);
    },
  });
}

const inState = (device: Device, test: (state: MigState) => boolean) => async () =>
  test(await device.getState());

export const READING_FAULTS: readonly Fault[] = [
  {
    name: 'read-restarts',
    title: 'each read() after the first begins at the start of the state again',
    origin:
      'hisi: chunked reads of the PRE_COPY data took the start of the buffer instead of the position of the fd',
    layer: 'stream',
    needs: [],
    caughtBy: ['VFIO-OUT-03', 'VFIO-OUT-02', 'VFIO-SES-16'],
    apply: (device) => onFd(device, rereading),
  },
  {
    name: 'halves-swapped',
    title: 'the two halves of a ring address are swapped in the saved state',
    origin: 'hisi: the 64-bit base of an event queue was put together from the wrong halves',
    layer: 'stream',
    needs: ['dma'],
    caughtBy: ['VFIO-OUT-03', 'VFIO-OUT-02'],
    apply: (device) => onFd(device, (fd) => inBatches(fd, inState(device, inSavingGroup), swapHalves)),
  },
  {
    name: 'stream-padded',
    title: 'zeros follow the state up to the size of the largest one',
    origin: 'ice, record and replay: the save file always has 128 KiB',
    layer: 'stream',
    needs: [],
    // A device that takes zeros behind its state does not miss one of them.
    caughtBy: ['VFIO-SES-16', 'VFIO-SES-15'],
    apply: (device) => onFd(device, padded),
  },
  {
    name: 'zero-at-temporary-end',
    title: 'read() gives 0 at the temporary end of PRE_COPY data',
    origin: 'hisi, qat and mtty: 0 where the uAPI asks for ENOMSG',
    layer: 'vfio',
    needs: ['pre-copy'],
    caughtBy: ['VFIO-PRE-01'],
    apply: (device) =>
      onFd(device, (fd) =>
        wrapFd(fd, {
          read: async (into) => {
            let size = 0;
            const error = await refusalOf(async () => {
              size = await fd.read(into);
            });
            if (error && error.code !== 'ENOMSG') throw error;
            return size;
          },
        }),
      ),
  },
  {
    name: 'read-odd-error',
    title: 'read() in STOP_COPY fails once with an error that user space does not expect',
    origin: 'mlx5: EREMOTEIO of the SAVE command was handed on as it was',
    layer: 'vfio',
    needs: [],
    caughtBy: ['VFIO-SES-19'],
    apply: (device) =>
      onFd(device, (fd) =>
        failingOnce(
          fd,
          'EREMOTEIO',
          'the firmware did not save',
          inState(device, (state) => state === 'STOP_COPY'),
        ),
      ),
  },
  {
    name: 'pre-copy-read-fails',
    title: 'the data of PRE_COPY cannot be read, though that of STOP_COPY can',
    origin: 'mlx5: a PRE_COPY error that only asks to fall back to STOP_COPY was taken for the end',
    layer: 'vfio',
    needs: ['pre-copy'],
    caughtBy: ['VFIO-SES-19'],
    apply: (device) => {
      const applies = inState(device, inPreCopy);
      return onFd(device, (fd) =>
        wrapFd(fd, {
          read: async (into) => {
            if (await applies()) throw new DeviceError('EOPNOTSUPP', 'the image is too large for PRE_COPY');
            return fd.read(into);
          },
        }),
      );
    },
  },
  {
    name: 'precopy-info-everywhere',
    title: 'precopy info is answered in STOP_COPY',
    origin: 'mlx5: the ioctl returned success in a wrong state',
    layer: 'vfio',
    needs: ['pre-copy'],
    caughtBy: ['VFIO-PRE-03'],
    apply: (device) => onFd(device, staleInfo),
  },
  {
    name: 'precopy-flags-echoed',
    title: 'precopy info tells REINIT, though nobody opted in',
    origin: 'VFIO core: the flags of the precopy info were returned as user space had passed them',
    layer: 'vfio',
    needs: ['pre-copy'],
    caughtBy: ['VFIO-PRE-06'],
    apply: (device) =>
      onFd(device, (fd, state) =>
        state !== undefined && inPreCopy(state)
          ? wrapFd(fd, { precopyInfo: async () => ({ ...(await fd.precopyInfo()), reinit: true }) })
          : fd,
      ),
  },
];
