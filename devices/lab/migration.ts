import { type DataFd, refusalOf } from 'stopcopy/uapi';
import { RING } from './dma-guest.js';
import { differingPages } from './paged-memory.js';
import type { Side } from './side.js';
import { take, write } from './transfer.js';

/** Ticks of traffic between two looks at the dirty pages: more than a ring has pages. */
const ROUND = RING.pages + 3;

function copyPages(from: Side, to: Side, numbers: Iterable<number>): void {
  for (const number of numbers) to.memory.page(number).set(from.memory.page(number));
}

/** Moves all there is for now from one fd to the other. */
async function send(from: DataFd, to: DataFd): Promise<void> {
  await write(to, await take(from));
}

/** Compares both sides and says so on the destination, where the VM is about to work. */
async function compare(from: Side, to: Side): Promise<void> {
  const pages = differingPages(from.memory, to.memory).length;
  to.tell({ kind: 'memory_compare', equal: pages === 0, pages });
  const [here, there] = [await from.image(), await to.image()];
  const refused = here.refused ?? there.refused;
  if (refused !== undefined) to.found(false, refused);
  else if (here.state !== null && there.state !== null) to.found(here.state === there.state);
}

/**
 * A whole migration.
 * @param options.preCopy whether the device's PRE_COPY is used, if it has one
 * @param options.lastly called before the VM stops
 */
export async function migrate(
  from: Side,
  to: Side,
  { preCopy = true, lastly = () => {} }: { preCopy?: boolean; lastly?: () => void } = {},
): Promise<DataFd> {
  const guest = from.guest!;
  from.status('setup');
  from.tell({ kind: 'source_setup' });
  to.status('setup');
  to.tell({ kind: 'destination_setup' });
  await from.startLog();
  copyPages(from, to, from.memory.pages.keys());
  for (const number of to.memory.pages.keys())
    if (!from.memory.pages.has(number)) to.memory.pages.delete(number);
  const into = (await to.set('RESUMING'))!;
  from.status('active');
  to.status('active');

  let out: DataFd | null = null;
  if (preCopy && from.hasPreCopy) {
    out = (await from.set('PRE_COPY'))!;
    await out.precopyInfo();
    await send(out, into);
    await out.precopyInfo();
  }
  from.traffic(ROUND);
  copyPages(from, to, await from.dirty());
  from.traffic(ROUND + 3);
  lastly();
  if (out === null) {
    await from.stop();
    copyPages(from, to, await from.dirty());
    out = (await from.set('STOP_COPY'))!;
  } else {
    await from.stop('STOP_COPY');
    copyPages(from, to, await from.dirty());
    await refusalOf(() => out!.precopyInfo());
  }
  from.status('device');
  await send(out, into);
  await from.set('STOP');
  await from.stopLog();
  await out.close();
  await to.set('STOP');
  await from.machine.handOver(to.machine);
  await to.run(guest);
  await compare(from, to);
  from.status('completed');
  to.status('completed');
  await to.check();
  return into;
}
