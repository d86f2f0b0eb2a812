/** Migrations that any device goes through, sound ones and others. */
import { type DataFd, refusalOf } from 'stopcopy/uapi';
import { migrate } from './migration.js';
import type { Side } from './side.js';
import { take, write } from './transfer.js';

/** Runs to its end, or to the first call that is refused unexpectedly: that one's `DeviceError` comes out. */
export type Scenario = (here: Side, there: Side) => Promise<void>;

/** A stream as the device gives it in STOP_COPY; afterwards the device is in STOP. */
async function saved(side: Side): Promise<Uint8Array> {
  const fd = (await side.set('STOP_COPY'))!;
  const bytes = await take(fd);
  await side.set('STOP');
  await fd.close();
  return bytes;
}

/** A load that need not succeed; where it fails the destination is given up, and the source goes on. */
export async function loadAfter(
  here: Side,
  there: Side,
  change: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes,
): Promise<void> {
  const guest = here.guest!;
  here.status('setup', 'active');
  here.tell({ kind: 'source_setup' });
  there.status('setup', 'active');
  there.tell({ kind: 'destination_setup' });
  const into = (await there.set('RESUMING'))!;
  await here.stop();
  here.status('device');
  const error = await refusalOf(async () => {
    await write(into, change(await saved(here)));
    await there.set('STOP');
    await there.run(guest);
  });
  await into.close();
  if (!error) {
    here.status('completed');
    there.status('completed');
    return;
  }
  there.status('failed');
  await there.device.reset();
  await there.device.getState();
  here.status('failed');
  await here.run(guest);
  await here.check();
}

/** Resets a device in its session, and tries the fd that it leaves behind. */
async function resetIn(side: Side, state: 'STOP_COPY' | 'PRE_COPY' | 'RESUMING'): Promise<void> {
  const fd: DataFd = (await side.set(state))!;
  const piece = new Uint8Array(4);
  if (state !== 'RESUMING') await refusalOf(() => fd.read(piece));
  await side.device.reset();
  await side.device.getState();
  await refusalOf(() => (state === 'RESUMING' ? fd.write(piece.subarray(0, 1)) : fd.read(piece)));
  await fd.close();
}

export const SCENARIOS = {
  /** There with all the device has, back, and there again. */
  'there-and-back': async (here, there) => {
    await (await migrate(here, there)).close();
    await here.device.reset();
    await (await migrate(there, here)).close();
    await there.device.reset();
    await (await migrate(here, there)).close();
  },
  /** Without PRE_COPY; then the fd of the load is written once more. */
  plain: async (here, there) => {
    const into = await migrate(here, there, { preCopy: false });
    await refusalOf(() => into.write(Uint8Array.of(1)));
    await into.close();
  },
  /** Cancelled in PRE_COPY, cancelled after STOP_COPY, then done. */
  cancelled: async (here, there) => {
    const guest = here.guest!;
    for (let attempt = 0; here.hasPreCopy && attempt < 2; attempt++) {
      const fd = (await here.set('PRE_COPY'))!;
      await refusalOf(() => take(fd));
      await here.set('RUNNING');
      await fd.close();
      await here.check();
    }
    await here.startLog();
    await here.dirty();
    await here.stop();
    await saved(here);
    await here.dirty();
    await saved(here);
    await here.run(guest);
    await here.check();
    await here.stopLog();
    await (await migrate(here, there)).close();
  },
  /** Stopped, and on again. */
  paused: async (here) => {
    const guest = here.guest!;
    await here.stop();
    await here.run(guest);
    await here.check();
  },
  /** The last bytes do not arrive. */
  cut: (here, there) => loadAfter(here, there, (bytes) => bytes.subarray(0, -5)),
  /** The stream is that of another device. */
  foreign: (here, there) =>
    loadAfter(here, there, (bytes) => bytes.map((byte, at) => (at === 0 ? byte ^ 0x55 : byte))),
  /** The device is reset in each session, the fd is tried, and the next session begins. */
  resets: async (here) => {
    await resetIn(here, 'STOP_COPY');
    if (here.hasPreCopy) await resetIn(here, 'PRE_COPY');
    await resetIn(here, 'RESUMING');
    await resetIn(here, 'STOP_COPY');
  },
  /** The last bytes come after RESUMING was left. */
  'late-bytes': async (here, there) => {
    const guest = here.guest!;
    const into = (await there.set('RESUMING'))!;
    await here.stop();
    const fd = (await here.set('STOP_COPY'))!;
    const bytes = await take(fd);
    const half = Math.min(200, bytes.length >> 1);
    await into.write(bytes.subarray(0, half));
    const error = await refusalOf(async () => {
      await there.set('STOP');
      await into.write(bytes.subarray(half));
    });
    if (error) await there.device.reset();
    else await there.run(guest);
  },
} as const satisfies Readonly<Record<string, Scenario>>;
