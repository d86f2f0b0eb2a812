/**
 * Where the guest driver keeps what in the RAM that is its own:
 *
 * | pages | what |
 * |---|---|
 * | first | control block: all that the driver knows (`control-block.ts`) |
 * | next | witness: which control block is the newest |
 * | next | how often each interrupt came, by vector, four bytes each (`vectors.ts`) |
 * | 33 | ring of the mailbox's send queue, and its 32 buffers of 4096 bytes |
 * | 33 | the same of its receive queue |
 * | per queue pair | Tx ring, Rx ring, Tx buffers, Rx buffers |
 *
 * Everything begins at a page, and every buffer has a stamp at its end, so that no page is without a mark by
 * which the driver can tell whether it is the newest.
 */

export const PAGE = 4096;
/** Descriptors and bytes of a buffer of either mailbox queue, as iavf has them. */
export const MAILBOX = { length: 32, buffer: 4096, descriptor: 32 } as const;
/** Bytes of a descriptor. */
export const DESCRIPTOR = { tx: 16, rx: 32 } as const;
/** What a packet buffer takes of RAM, and how much of it the device may write: the stamp stands behind. */
export const BUFFER = { slot: 2048, data: 1536 } as const;
/** Bytes of a stamp. */
export const STAMP = 8;
/** Bytes of a mailbox buffer that the device may write. */
export const MAILBOX_DATA = MAILBOX.buffer - STAMP;
/** Bounds of iavf for a ring; all lengths here are powers of two. */
const RING = { least: 64, most: 4096 } as const;

/** One area: `at(index)` is the address of an element. */
export interface Area {
  readonly start: number;
  readonly stride: number;
  readonly count: number;
}

export interface RamLayout {
  /** Descriptors of each Tx and Rx ring. */
  readonly ringLength: number;
  readonly control: Area;
  readonly witness: Area;
  readonly interrupts: Area;
  readonly atq: { readonly ring: Area; readonly buffers: Area };
  readonly arq: { readonly ring: Area; readonly buffers: Area };
  readonly queues: readonly {
    readonly tx: { readonly ring: Area; readonly buffers: Area };
    readonly rx: { readonly ring: Area; readonly buffers: Area };
  }[];
  /** First byte behind. */
  readonly end: number;
}

/** Address of an element of an area. */
export const addressIn = (area: Area, index: number): number => area.start + area.stride * index;

/**
 * Lays the RAM out with the longest rings that fit, at most `ringLength`.
 * @throws RangeError when not even the shortest rings fit
 */
export function layOut(
  ram: { readonly start: number; readonly size: number },
  need: { readonly controlSize: number; readonly queuePairs: number; readonly ringLength: number },
): RamLayout {
  const longest = Math.min(RING.most, Math.max(RING.least, need.ringLength));
  let layout: RamLayout;
  for (let length = 2 ** Math.floor(Math.log2(longest)); length >= RING.least; length /= 2) {
    layout = withRings(ram.start, need.controlSize, need.queuePairs, length);
    if (layout.end <= ram.start + ram.size) return layout;
  }
  const wanted = layout!.end - ram.start;
  throw new RangeError(
    `a guest driver of ${need.queuePairs} queue pairs needs ${wanted} bytes of RAM and has ${ram.size}: give the machine more RAM or the VF fewer queues`,
  );
}

function withRings(start: number, controlSize: number, queuePairs: number, ringLength: number): RamLayout {
  let next = Math.ceil(start / PAGE) * PAGE;
  const area = (count: number, stride: number): Area => {
    const taken = { start: next, stride, count };
    next += Math.ceil((count * stride) / PAGE) * PAGE;
    return taken;
  };
  const control = area(1, controlSize);
  const witness = area(1, PAGE);
  const interrupts = area(1 + queuePairs, 4);
  const mailbox = () => ({
    ring: area(MAILBOX.length, MAILBOX.descriptor),
    buffers: area(MAILBOX.length, MAILBOX.buffer),
  });
  const ring = (descriptor: number) => area(ringLength, descriptor);
  const buffers = () => area(ringLength, BUFFER.slot);
  return {
    ringLength,
    control,
    witness,
    interrupts,
    atq: mailbox(),
    arq: mailbox(),
    queues: Array.from({ length: queuePairs }, () => {
      const [tx, rx] = [ring(DESCRIPTOR.tx), ring(DESCRIPTOR.rx)];
      return { tx: { ring: tx, buffers: buffers() }, rx: { ring: rx, buffers: buffers() } };
    }),
    end: next,
  };
}
