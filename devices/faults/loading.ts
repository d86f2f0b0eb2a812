/** Faults in what becomes of a state that is loaded. */
import { hasSession, isRunning } from 'stopcopy/machines';
import { type DataFd, type Device, DeviceError, refusalOf } from 'stopcopy/uapi';
import type { Fault } from './fault.js';
import { onRequest, type Request, wrapFd } from './wrap.js';

/** Leaving RESUMING succeeds whatever was written: what cannot be loaded is left out. */
function unchecked(device: Device): Device {
  return onRequest(device, async ({ from, wanted, go }) => {
    if (from !== 'RESUMING' || wanted === undefined || wanted === 'RESUMING') return go();
    let fd: DataFd | null = null;
    const error = await refusalOf(async () => {
      fd = await go();
    });
    if (!error) return fd;
    await device.reset();
    return device.setState(wanted);
  });
}

/** RESUMING -> STOP has nothing to do; what it should have done is done, and fails, on the next arc. */
function late(device: Device): Device {
  /** To user space the device is in STOP; in truth it is in RESUMING. */
  let waiting = false;
  const settle = async ({ wanted, go }: Request): Promise<DataFd | null> => {
    if (wanted === 'STOP') {
      waiting = true;
      return null;
    }
    try {
      const fd = await go();
      waiting = false;
      return fd;
    } catch (error) {
      waiting = (await device.getState()) === 'RESUMING';
      throw error;
    }
  };
  return onRequest(
    device,
    async (request) => {
      const { from, wanted } = request;
      if (from !== 'RESUMING' || wanted === undefined) return request.go();
      if (wanted === 'RESUMING' && !waiting) return request.go();
      return settle(request);
    },
    {
      getState: async () => (waiting ? 'STOP' : device.getState()),
      reset: async () => {
        waiting = false;
        await device.reset();
      },
    },
  );
}

/** The first session is loaded as it should be; in each later one its data is loaded once more. */
function firstStateAgain(device: Device): Device {
  const first: Uint8Array[] = [];
  let whole = false;
  const recording = (fd: DataFd) =>
    wrapFd(fd, {
      write: async (bytes) => {
        const size = await fd.write(bytes);
        first.push(bytes.slice(0, size));
        return size;
      },
    });
  const replaying = (fd: DataFd) => {
    let replayed = false;
    return wrapFd(fd, {
      write: async (bytes) => {
        const left = replayed ? [] : first;
        replayed = true;
        for (const part of left) for (let at = 0; at < part.length; ) at += await fd.write(part.subarray(at));
        return bytes.length;
      },
    });
  };
  return onRequest(device, async ({ from, wanted, go }) => {
    const fd = await go();
    if (from === 'RESUMING' && wanted !== 'RESUMING') whole = true;
    if (fd === null || wanted !== 'RESUMING') return fd;
    if (whole) return replaying(fd);
    first.length = 0;
    return recording(fd);
  });
}

/** An fd that was written stays usable when RESUMING has been left. */
function attached(device: Device): Device {
  return onRequest(device, async ({ wanted, go }) => {
    const fd = await go();
    if (fd === null || wanted !== 'RESUMING') return fd;
    return wrapFd(fd, {
      write: async (bytes) => {
        let size = 0;
        const error = await refusalOf(async () => {
          size = await fd.write(bytes);
        });
        if (error && error.code !== 'ENODEV') throw error;
        return error ? bytes.length : size;
      },
    });
  });
}

/** STOP -> RUNNING_P2P takes the file that RESUMING left; a source has none. */
function noWayBack(device: Device): Device {
  let loaded = false;
  let crashed = false;
  return onRequest(
    device,
    async ({ from, wanted, go }) => {
      if (crashed) throw new DeviceError('EINVAL', 'the driver has crashed');
      const stopped = from === 'STOP' || from === 'STOP_COPY';
      if (stopped && !loaded && wanted !== undefined && isRunning(wanted) && !hasSession(wanted)) {
        await device.setState('STOP');
        crashed = true;
        throw new DeviceError('EFAULT', 'no file to load from');
      }
      const fd = await go();
      if (wanted === 'RESUMING') loaded = true;
      else if (wanted === 'RUNNING') loaded = false;
      return fd;
    },
    {
      getState: async () => (crashed ? 'ERROR' : device.getState()),
      reset: async () => {
        await device.reset();
        crashed = false;
        loaded = false;
      },
    },
  );
}

export const LOADING_FAULTS: readonly Fault[] = [
  {
    name: 'truncation-unnoticed',
    title: 'RESUMING is left with success though the state is not complete',
    origin:
      'ice, TLV: a buffer of zeros whose rest passes for the end; mlx5, virtio, qat: no count at the arc',
    layer: 'vfio',
    needs: [],
    caughtBy: ['VFIO-SES-15'],
    apply: unchecked,
  },
  {
    name: 'late-load',
    title: 'the state is loaded, and its errors show, only after RESUMING was left with success',
    origin: 'ice, both series: RESUMING to STOP has nothing to do, STOP to RUNNING_P2P loads',
    layer: 'vfio',
    needs: [],
    caughtBy: ['VFIO-SES-17', 'VFIO-SES-15'],
    apply: late,
  },
  {
    name: 'second-load-ignored',
    title: 'the data of a second migration is taken unseen, and the first state is loaded again',
    origin: 'hisi: the mark that the compatibility check was done was not cleared at open',
    layer: 'vfio',
    needs: [],
    caughtBy: ['VFIO-OUT-03', 'VFIO-OUT-02', 'VFIO-OUT-05'],
    apply: firstStateAgain,
  },
  {
    name: 'fd-attached-after-resuming',
    title: 'the data_fd of a load takes data after RESUMING was left',
    origin: 'ice, record and replay: the file stays attached until the state is loaded',
    layer: 'vfio',
    needs: [],
    caughtBy: ['VFIO-SES-14'],
    apply: attached,
  },
  {
    name: 'no-way-back',
    title: 'a device that was stopped and not loaded cannot run again',
    origin: 'ice, both series: STOP to RUNNING_P2P without a file to load from follows a null pointer',
    layer: 'vfio',
    needs: [],
    caughtBy: ['VFIO-FSM-14'],
    apply: noWayBack,
  },
];
