import { splitBytes, VirtioNetHdr } from '../../uapi/virtio.js';
import { beginLogged, RECEIVED_BYTES, receiveSome, sendAll, type VhostCase } from './case.js';
import { hasPage, type PageRun } from './page-runs.js';
import { CaseFailure, CaseSkipped, type VhostRig } from './rig.js';

const PAGE = 4096;
/** Descriptors of the rings whose used part stands across pages. */
const SIZE = 16;
/** Bytes of a frame in its buffer. */
const PACKET = VirtioNetHdr.size + RECEIVED_BYTES;

/** Frames come into the buffers that were offered, and the log is read behind the last one. */
async function logReceived(rig: VhostRig, frames: number): Promise<void> {
  const some = await receiveSome(rig, frames);
  await rig.stop();
  await rig.readLog(true);
  if (!some) throw new CaseSkipped('nobody on the other side of the back end sends frames');
}

/** Frames go through a ring whose used part stands across two pages, with logs read between. */
async function logSent(rig: VhostRig): Promise<void> {
  await beginLogged(rig);
  for (let round = 0; round < 3; round++) {
    await sendAll(rig, SIZE / 2);
    await rig.readLog(false);
  }
  await sendAll(rig, SIZE);
  await rig.stop();
  await rig.readLog(true);
}

function expectLogged(pages: readonly PageRun[], page: number, words: string): void {
  if (!hasPage(pages, page)) throw new CaseFailure(`page 0x${page.toString(16)} ${words} is not in the log`);
}

/**
 * Cases of the dirty log, with split rings: where the writes of a packed one are marked, back ends do not agree (DPDK
 * counts descriptors from log_guest_addr on).
 */
export const LOG_CASES: readonly VhostCase[] = [
  {
    id: 'log-transmit',
    title: 'the used ring of a transmit queue is logged',
    run: async (rig) => {
      await beginLogged(rig);
      await sendAll(rig);
      await rig.readLog(false);
      await sendAll(rig, 8);
      await rig.stop();
      await rig.readLog(true);
    },
  },
  {
    id: 'log-used-elements',
    title: 'of a used ring across pages the index is logged, and the elements are',
    // The second page has elements alone; the avail event is in the third one.
    rig: { ringSize: 1024, usedAt: PAGE - 4 },
    run: logSent,
  },
  {
    id: 'log-avail-event',
    title: 'the avail event is logged, in a page of its own behind the used ring',
    rig: { ringSize: SIZE, usedAt: PAGE - (splitBytes.used(SIZE) - 2) },
    run: logSent,
  },
  {
    id: 'log-receive',
    title: 'receive buffers are logged, each page that was written',
    run: async (rig) => {
      await beginLogged(rig);
      rig.offerBuffers(12);
      await logReceived(rig, 12);
    },
  },
  {
    id: 'log-chains',
    title: 'buffers of several descriptors are logged, each of them',
    run: async (rig) => {
      await beginLogged(rig);
      rig.offerBuffers(5, [VirtioNetHdr.size, 600, 1024]);
      await logReceived(rig, 5);
    },
  },
  {
    id: 'log-merged-buffers',
    title: 'a frame in several buffers is logged in all of them',
    run: async (rig) => {
      await beginLogged(rig);
      rig.needMergeable();
      rig.offerBuffers(15, [500]);
      await logReceived(rig, 5);
    },
  },
  {
    id: 'log-boundaries',
    title: 'buffers across the bytes and words of the log are logged, to their last byte',
    run: async (rig) => {
      await beginLogged(rig);
      // Pages of a byte, of half a word, of a word; a frame has its middle, or its last bytes, behind the boundary.
      for (const pages of [8, 32, 64])
        for (const before of [PACKET / 2, PACKET - 6, 6, PACKET / 3])
          rig.receive.offerAcross(pages * PAGE, Math.floor(before), 2048);
      rig.kickReceive();
      await logReceived(rig, 12);
    },
  },
  {
    id: 'log-off-again',
    title: 'logging is switched off and on again while rings run',
    run: async (rig) => {
      await rig.negotiate();
      rig.needLog();
      await rig.start();
      for (let round = 0; round < 3; round++) {
        await rig.startLog();
        await sendAll(rig, 8);
        await rig.readLog(false);
        await rig.stopLog();
        await sendAll(rig, 8);
      }
      await rig.stop();
    },
  },
  {
    id: 'log-base-swap',
    title: 'a new log takes the place of the old one while rings run',
    run: async (rig) => {
      await beginLogged(rig);
      for (let round = 0; round < 4; round++) {
        await sendAll(rig, 8);
        await rig.swapLog();
      }
      await sendAll(rig, 8);
      await rig.stop();
      await rig.readLog(true);
    },
  },
  {
    id: 'log-guest-addr',
    title: 'the used ring is logged at log_guest_addr, wherever the ring itself is',
    run: async (rig) => {
      await rig.negotiate();
      rig.needLog();
      const at = rig.memory.take(PAGE, PAGE);
      await rig.start();
      await rig.startLog({ logGuestAddr: at });
      await sendAll(rig, 8);
      await rig.stop();
      expectLogged(rig.takeLog(true), at / PAGE, 'at log_guest_addr');
    },
  },
  {
    id: 'log-gates',
    title: 'LOG_ALL and the flags of the rings are two switches',
    interfaces: ['kernel'],
    run: async (rig) => {
      await rig.negotiate();
      rig.needLog();
      // Of rings that have stopped: until then a bit may come behind what it stands for.
      await rig.start();
      await rig.startLog({ buffers: false });
      await sendAll(rig, 8);
      await rig.stop();
      expectLogged(rig.takeLog(true), rig.transmit.parts.used / PAGE, 'of the used ring, with its flag,');
      await rig.start();
      await rig.startLog({ rings: false });
      rig.offerBuffers(4);
      const some = await receiveSome(rig, 4);
      await rig.stop();
      const pages = rig.takeLog(true);
      if (!some) throw new CaseSkipped('nobody on the other side of the back end sends frames');
      for (const page of rig.receive.written) expectLogged(pages, page, 'of a receive buffer, with LOG_ALL,');
    },
  },
];
