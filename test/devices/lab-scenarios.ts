import type { TraceEvent } from '../../src/trace/index.js';
import type { DataFd } from '../../src/uapi/index.js';
import { refusal } from './lab.js';
import { migrate, type Setting, Side, take, write } from './lab-migration.js';

/** Two hosts with a device each; the VM is on the first. */
async function twoHosts(setting: Setting, other: Setting, events: TraceEvent[]): Promise<[Side, Side]> {
  const here = new Side('alpha', setting, events);
  const there = new Side('beta', other, events);
  here.guest = setting.subject.newGuest();
  await here.guest.setUp(here.device, here.model);
  here.traffic(7);
  await here.check();
  return [here, there];
}

export type Scenario = (here: Side, there: Side) => Promise<void>;

/** A stream as the device gives it in STOP_COPY; afterwards the device is in STOP. */
async function saved(side: Side): Promise<Uint8Array> {
  const fd = (await side.set('STOP_COPY'))!;
  const bytes = await take(fd);
  await side.set('STOP');
  await fd.close();
  return bytes;
}

/** A load of bytes that are not what a device gave; ends with what an upright driver makes of it: a failure. */
export async function loadBroken(
  here: Side,
  there: Side,
  change: (bytes: Uint8Array) => Uint8Array,
): Promise<void> {
  const guest = here.guest!;
  here.status('setup', 'active');
  here.tell({ kind: 'source_setup' });
  there.status('setup', 'active');
  there.tell({ kind: 'destination_setup' });
  const into = (await there.set('RESUMING'))!;
  await here.stop();
  here.status('device');
  const error = await refusal(async () => {
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

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  /** There with all the device has, back, and there again. */
  'there and back': async (here, there) => {
    await (await migrate(here, there)).close();
    await here.device.reset();
    await (await migrate(there, here)).close();
    await there.device.reset();
    await (await migrate(here, there)).close();
  },
  /** Without PRE_COPY; then the fd of the load is written once more. */
  plain: async (here, there) => {
    const into = await migrate(here, there, { preCopy: false });
    await refusal(() => into.write(Uint8Array.of(1)));
    await into.close();
  },
  /** Cancelled in PRE_COPY, cancelled after STOP_COPY, then done. */
  cancelled: async (here, there) => {
    const guest = here.guest!;
    for (let attempt = 0; here.hasPreCopy && attempt < 2; attempt++) {
      const fd = (await here.set('PRE_COPY'))!;
      await refusal(() => take(fd));
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
  cut: (here, there) => loadBroken(here, there, (bytes) => bytes.subarray(0, -5)),
  /** The stream is that of another device. */
  foreign: (here, there) =>
    loadBroken(here, there, (bytes) => {
      const other = bytes.slice();
      other[0]! ^= 0x55;
      return other;
    }),
  /** The device is reset in each session, the fd is tried, and the next session begins. */
  resets: async (here) => {
    const states = here.hasPreCopy
      ? (['STOP_COPY', 'PRE_COPY', 'RESUMING', 'STOP_COPY'] as const)
      : (['STOP_COPY', 'RESUMING', 'STOP_COPY'] as const);
    for (const state of states) {
      const fd: DataFd = (await here.set(state))!;
      if (state !== 'RESUMING') await refusal(() => fd.read(new Uint8Array(4)));
      await here.device.reset();
      await here.device.getState();
      if (state === 'RESUMING') await refusal(() => fd.write(Uint8Array.of(1)));
      else await refusal(() => fd.read(new Uint8Array(4)));
      await fd.close();
    }
  },
};

/**
 * Runs a scenario to its end, or to the first call that the device refuses; what was recorded of it.
 * @param other of the second host, where it has another device
 */
export async function play(
  scenario: string | Scenario,
  setting: Setting,
  other: Setting = setting,
): Promise<{ events: TraceEvent[]; ended: string | null }> {
  const events: TraceEvent[] = [];
  const error = await refusal(async () => {
    const [here, there] = await twoHosts(setting, other, events);
    await (typeof scenario === 'string' ? SCENARIOS[scenario]! : scenario)(here, there);
  });
  return { events, ended: error?.message ?? null };
}
