/** Faults in guest memory and in what the device says of its writes to it. */
import { type Device, DirtyBitmap, type IovaRange, refusalOf } from 'stopcopy/uapi';
import type { Fault, FaultTools } from './fault.js';
import { onLogging, onReport, onRequest, wrapFd } from './wrap.js';

/** Bytes of a user's bitmap in one page of user memory. */
const USER_PAGE = 4096;

/** What a report is taken for, bit by bit; an index outside the bitmap is lost. */
function moved(report: DirtyBitmap, to: (index: number) => number): DirtyBitmap {
  const changed = new DirtyBitmap(report.range);
  for (const index of report) {
    const at = to(index);
    if (at >= 0 && at < changed.bits) changed.set(at);
  }
  return changed;
}

const LOST = -1;

/** How a report of dirty pages is falsified: for any log, also one that is no device's. */
export type ReportFault = (report: DirtyBitmap, tools: Pick<FaultTools, 'random'>) => DirtyBitmap;

export const shiftedByStart: ReportFault = (report) => {
  const { iova, pageSize } = report.range;
  return moved(report, (index) => index + Number(iova / pageSize));
};

export const shiftedByOffset: ReportFault = (report, { random }) => {
  const by = 1 + random(7);
  return moved(report, (index) => index + by);
};

/** The user's bitmap begins somewhere in a page; the byte behind each end of a page is lost. */
export const lostAtPageEdge: ReportFault = (report, { random }) => {
  const used = Math.ceil(report.bits / 8);
  const edge = 1 + random(Math.max(1, Math.min(used, USER_PAGE) - 1));
  return moved(report, (index) => ((index >> 3) % USER_PAGE === edge ? LOST : index));
};

export const allClean: ReportFault = (report) => new DirtyBitmap(report.range);

/** A tracker holds so many pages; those behind them, the later half of each range, are not tracked. */
function smallTracker(device: Device): Device {
  let untracked: readonly IovaRange[] = [];
  const isTracked = (address: bigint) =>
    untracked.every(({ iova, length }) => address < iova || address >= iova + length);
  return onLogging(device, (logging) => ({
    start: async (request) => {
      const pageSize = await logging.start(request);
      untracked = request.ranges.map(({ iova, length }) => {
        const half = (length / pageSize / 2n) * pageSize;
        return { iova: iova + length - half, length: half };
      });
      return pageSize;
    },
    report: async (range) => {
      const report = await logging.report(range);
      return moved(report, (index) => (isTracked(report.addressOf(index)) ? index : LOST));
    },
  }));
}

/** Leaving STOP_COPY ends the log. */
function logEndsWithSave(device: Device): Device {
  return onRequest(device, async ({ from, go }) => {
    const fd = await go();
    if (from === 'STOP_COPY') await refusalOf(() => device.dmaLogging?.stop());
    return fd;
  });
}

/** Data that arrives makes the hardware write to the address zero, which nobody has set. */
function writesToZero(device: Device, { memory }: FaultTools): Device {
  return onRequest(device, async ({ wanted, go }) => {
    const fd = await go();
    if (fd === null || wanted !== 'RESUMING') return fd;
    return wrapFd(fd, {
      write: (bytes) => {
        memory?.stray(0, new Uint8Array(16).fill(0xff));
        return fd.write(bytes);
      },
    });
  });
}

const report =
  (fault: ReportFault) =>
  (device: Device, tools: FaultTools): Device =>
    onReport(device, (bitmap) => fault(bitmap, tools));

export const MEMORY_FAULTS: readonly Fault[] = [
  {
    name: 'report-shifted-by-start',
    title: 'the bits of a dirty report are as far off as the range begins from address zero',
    origin: 'pds: the sync compared the wrong bound and took each region to begin at zero',
    layer: 'memory',
    needs: ['dma', 'dma-logging'],
    caughtBy: ['VFIO-OUT-04', 'VFIO-OUT-05'],
    apply: report(shiftedByStart),
  },
  {
    name: 'report-shifted',
    title: 'the bits of a dirty report are a few places off',
    origin: 'iova_bitmap: the offset of a bitmap inside its first page was not counted',
    layer: 'memory',
    needs: ['dma', 'dma-logging'],
    caughtBy: ['VFIO-OUT-04', 'VFIO-OUT-05'],
    apply: report(shiftedByOffset),
  },
  {
    name: 'report-lost-at-page-edge',
    title: 'bits are lost where the bitmap of user space crosses a page',
    origin:
      'iova_bitmap: bits across the edge of a mapped page of a bitmap that is not aligned were put elsewhere',
    layer: 'memory',
    needs: ['dma', 'dma-logging'],
    caughtBy: ['VFIO-OUT-04', 'VFIO-OUT-05'],
    apply: report(lostAtPageEdge),
  },
  {
    name: 'report-clean',
    title: 'every page is reported clean',
    origin: 'VT-d: the flag for dirty tracking was not set in parent and nested domains',
    layer: 'memory',
    needs: ['dma', 'dma-logging'],
    caughtBy: ['VFIO-OUT-04', 'VFIO-OUT-05'],
    apply: report(allClean),
  },
  {
    name: 'tracker-too-small',
    title: 'logging of a large range starts, and its later pages are not logged',
    origin: 'mlx5: the size of the tracker was larger than the longest message of the hardware',
    layer: 'memory',
    needs: ['dma', 'dma-logging'],
    caughtBy: ['VFIO-OUT-04', 'VFIO-OUT-05'],
    apply: smallTracker,
  },
  {
    name: 'log-ends-with-save',
    title: 'dirty logging has ended when STOP_COPY is left, though nobody stopped it',
    origin: 'pds: STOP_COPY to STOP disables the dirty log',
    layer: 'memory',
    needs: ['dma-logging'],
    caughtBy: ['VFIO-DMA-10'],
    apply: logEndsWithSave,
  },
  {
    name: 'load-writes-memory',
    title: 'while it is loaded the device writes to address zero',
    origin:
      'hisi: addresses of a VF whose guest has no driver were migrated and used; ice, record and replay: the Tx head is restored by way of guest memory',
    layer: 'memory',
    needs: ['dma'],
    caughtBy: ['VFIO-QSC-02', 'VFIO-OUT-04'],
    apply: writesToZero,
  },
];
