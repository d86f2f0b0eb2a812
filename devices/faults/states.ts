/** Faults in the states: what suspending leaves behind, what a reset does, what a second session finds. */
import { hasSession, inPreCopy, inSavingGroup, isRunning } from 'stopcopy/machines';
import { type DataFd, type Device, DeviceError, type MigState, refusalOf } from 'stopcopy/uapi';
import type { Fault, FaultTools } from './fault.js';
import { onRequest, wrapDevice, wrapFd } from './wrap.js';

const operates = (state: MigState | undefined): boolean => state === 'RUNNING' || state === 'PRE_COPY';

/**
 * The device comes to RUNNING dead: its registers read zero, and nothing that it writes arrives.
 * @param after whether it had been loaded before, or had only been stopped
 */
function deadAfter(after: 'load' | 'stop', device: Device, { memory }: FaultTools): Device {
  let loaded = false;
  let dead = false;
  const die = (now: boolean) => {
    dead = now;
    if (memory) memory.muted = now;
  };
  return onRequest(
    device,
    async ({ from, wanted, go }) => {
      const fd = await go();
      if (wanted === 'RESUMING') loaded = true;
      if (!operates(wanted) || operates(from)) return fd;
      die(loaded === (after === 'load'));
      loaded = false;
      return fd;
    },
    {
      readRegion: (region, offset, size) =>
        dead ? new Uint8Array(size) : device.readRegion(region, offset, size),
      writeRegion: (region, offset, bytes) => {
        if (!dead) return device.writeRegion(region, offset, bytes);
      },
      reset: async () => {
        await device.reset();
        die(false);
        loaded = false;
      },
    },
  );
}

/** What the device has in RUNNING_P2P is what it saves, whatever the guest does until it is stopped. */
function savedTooEarly(device: Device): Device {
  let early: Uint8Array | null = null;
  const givingEarly = (fd: DataFd, bytes: Uint8Array) => {
    let at = 0;
    return wrapFd(fd, {
      read: (into) => {
        const part = bytes.subarray(at, at + into.length);
        into.set(part);
        at += part.length;
        return part.length;
      },
    });
  };
  return onRequest(device, async ({ from, wanted, go }) => {
    const fd = await go();
    if (wanted === 'RUNNING_P2P' && from === 'RUNNING') early = await imageOf(device);
    else if (wanted !== undefined && (operates(wanted) || wanted === 'RESUMING')) early = null;
    const saves = fd !== null && wanted === 'STOP_COPY' && early !== null;
    return saves ? givingEarly(fd, early!) : fd;
  });
}

/** The whole state of a device in RUNNING_P2P, which it is in again afterwards. */
async function imageOf(device: Device): Promise<Uint8Array> {
  const fd = (await device.setState('STOP_COPY'))!;
  const parts: Uint8Array[] = [];
  const piece = new Uint8Array(65536);
  for (;;) {
    const size = await fd.read(piece);
    if (size === 0) break;
    parts.push(piece.slice(0, size));
  }
  await fd.close();
  await device.setState('RUNNING_P2P');
  return Buffer.concat(parts);
}

/** PRE_COPY works once: what it had begun is not ended with it. */
function preCopyOnce(device: Device): Device {
  let left = false;
  return onRequest(
    device,
    async ({ from, wanted, go }) => {
      if (wanted === undefined) return go();
      if (left && inPreCopy(wanted) && !inSavingGroup(from))
        throw new DeviceError('EINVAL', 'the last PRE_COPY is still being tracked');
      const fd = await go();
      left ||= inPreCopy(from) && !inSavingGroup(wanted);
      return fd;
    },
    {
      reset: async () => {
        await device.reset();
        left = false;
      },
    },
  );
}

/** What is to be saved is made on the way down, and gone once it was saved. */
function saveOnce(device: Device): Device {
  let consumed = false;
  return onRequest(
    device,
    async ({ from, wanted, go }) => {
      const saves = wanted === 'STOP_COPY' && !inSavingGroup(from);
      if (saves && consumed) throw new DeviceError('EIO', 'there is nothing to save');
      const fd = await go();
      if (saves) consumed = true;
      if (wanted === 'RUNNING') consumed = false;
      return fd;
    },
    {
      reset: async () => {
        await device.reset();
        consumed = false;
      },
    },
  );
}

/** A reset forgets the state but not the file of the session. */
function fileLeft(device: Device): Device {
  let left = false;
  return onRequest(
    device,
    async ({ from, wanted, go }) => {
      if (left && wanted !== undefined && hasSession(wanted) && !hasSession(from))
        throw new DeviceError('EEXIST', 'there is a file already');
      return go();
    },
    {
      reset: async () => {
        left ||= hasSession(await device.getState());
        await device.reset();
      },
    },
  );
}

/** The fd of a session goes on after a reset. */
function fdOutlivesReset(device: Device): Device {
  let resets = 0;
  const immortal = (fd: DataFd, born: number) => {
    const either = async (call: () => unknown, instead: () => number): Promise<number> => {
      let size = 0;
      const error = await refusalOf(async () => {
        size = (await call()) as number;
      });
      if (error === null) return size;
      if (error.code === 'ENODEV' && resets > born) return instead();
      throw error;
    };
    return wrapFd(fd, {
      read: (into) =>
        either(
          () => fd.read(into),
          () => into.fill(0).length,
        ),
      write: (bytes) =>
        either(
          () => fd.write(bytes),
          () => bytes.length,
        ),
    });
  };
  return onRequest(
    device,
    async ({ go }) => {
      const fd = await go();
      return fd && immortal(fd, resets);
    },
    {
      reset: async () => {
        if (hasSession(await device.getState())) resets++;
        await device.reset();
      },
    },
  );
}

/** The device with another reset. */
function withReset(device: Device, reset: (state: MigState) => Promise<void>): Device {
  return wrapDevice(device, { reset: async () => reset(await device.getState()) });
}

/** The engine that is to be stopped is not, and writes on with every call. */
function neverStops(device: Device, { memory }: FaultTools): Device {
  let loaded = false;
  const goOn = async () => {
    const state = await device.getState();
    if (!loaded && !isRunning(state)) memory?.scribble();
  };
  return onRequest(
    device,
    async ({ wanted, go }) => {
      await goOn();
      const fd = await go();
      loaded = wanted === 'RESUMING' || (loaded && wanted !== undefined && !isRunning(wanted));
      if (fd === null) return null;
      return wrapFd(fd, {
        read: async (into) => {
          await goOn();
          return fd.read(into);
        },
      });
    },
    {
      reset: async () => {
        await device.reset();
        loaded = false;
      },
    },
  );
}

export const STATE_FAULTS: readonly Fault[] = [
  {
    name: 'not-unsuspended',
    title: 'a device that was stopped and runs again has lost what the guest had set up',
    origin:
      'ice, TLV: filters and queues go at RUNNING to RUNNING_P2P, and nothing brings them back on the way up',
    layer: 'vfio',
    needs: [],
    caughtBy: ['VFIO-OUT-01'],
    apply: (device, tools) => deadAfter('stop', device, tools),
  },
  {
    name: 'resumed-dead',
    title: 'a device that was loaded runs, and does nothing',
    origin:
      'qat: banks in an exception state were not restored; hisi: interrupts that were pending never came',
    layer: 'vfio',
    needs: [],
    caughtBy: ['VFIO-OUT-02'],
    apply: (device, tools) => deadAfter('load', device, tools),
  },
  {
    name: 'suspend-ignored',
    title: 'the device is told to be stopped and goes on writing memory',
    origin:
      'ice, both series: the result of the suspend command is not looked at, RUNNING_P2P to STOP does nothing',
    layer: 'memory',
    needs: ['dma'],
    caughtBy: ['VFIO-QSC-01', 'VFIO-OUT-04', 'VFIO-OUT-05'],
    apply: neverStops,
  },
  {
    name: 'saved-at-p2p',
    title: 'the state is frozen at RUNNING_P2P, and what the guest does until STOP is lost',
    origin: 'ice, TLV: all records are made inside the suspend command',
    layer: 'stream',
    needs: ['p2p'],
    caughtBy: ['VFIO-OUT-03', 'VFIO-OUT-02'],
    apply: savedTooEarly,
  },
  {
    name: 'pre-copy-once',
    title: 'after a migration was cancelled in PRE_COPY the next one cannot begin',
    origin: 'mlx5: the tracking of the firmware was not cleaned up at PRE_COPY to RUNNING',
    layer: 'vfio',
    needs: ['pre-copy'],
    caughtBy: ['VFIO-SES-18'],
    apply: preCopyOnce,
  },
  {
    name: 'save-once',
    title: 'a save that is tried again without running in between fails',
    origin: 'ice, TLV: the list of records is used up by the first STOP_COPY, the second gives EIO',
    layer: 'vfio',
    needs: [],
    caughtBy: ['VFIO-FSM-15'],
    apply: saveOnce,
  },
  {
    name: 'file-left-by-reset',
    title: 'after a reset no further session can begin',
    origin: 'pds: the files of save and restore were not released by a reset',
    layer: 'vfio',
    needs: [],
    caughtBy: ['VFIO-SES-18'],
    apply: fileLeft,
  },
  {
    name: 'fd-outlives-reset',
    title: 'the data_fd of a session works on after a reset',
    origin:
      'pds: files that a reset does not release; hisi: references that remain when the device is closed',
    layer: 'vfio',
    needs: [],
    caughtBy: ['VFIO-SES-03', 'VFIO-SES-14'],
    apply: fdOutlivesReset,
  },
  {
    name: 'state-races-reset',
    title: 'a change of state that was under way wins over the reset',
    origin: 'hisi: the deferred reset and the lock of the state were taken in different orders',
    layer: 'vfio',
    needs: [],
    caughtBy: ['VFIO-RST-01'],
    apply: (device) =>
      withReset(device, async (state) => {
        await device.reset();
        if (state !== 'RUNNING') await device.setState('STOP');
      }),
  },
  {
    name: 'reset-lost',
    title: 'a reset is lost when the device is not in RUNNING',
    origin: 'mlx5: flags in one word changed from two contexts without a common lock',
    layer: 'vfio',
    needs: [],
    caughtBy: ['VFIO-RST-01'],
    apply: (device) =>
      withReset(device, async (state) => {
        if (state === 'RUNNING') await device.reset();
      }),
  },
];
