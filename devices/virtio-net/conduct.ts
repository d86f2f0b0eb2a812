import type { VhostWrite } from 'stopcopy/uapi';
import { VHOST_LOG_PAGE } from 'stopcopy/uapi';
import type { GpaRun } from './address-space.js';

/** The two switches of the dirty log, as they are and as they were when the ring started. */
export interface Gates {
  /** VHOST_F_LOG_ALL. */
  readonly logAll: boolean;
  /** VHOST_VRING_F_LOG of the ring. */
  readonly ring: boolean;
  readonly logAllAtStart: boolean;
  readonly ringAtStart: boolean;
}

/** A buffer that was written: what of it was writable, and how many bytes were written from its beginning on. */
export interface BufferWrite {
  /** Addresses as the descriptors carry them. */
  readonly writable: readonly GpaRun[];
  readonly written: number;
}

/** A write into the used part of a split ring, or into a packed ring. */
export interface RingWrite {
  readonly what: VhostWrite;
  /** From the beginning of the used part; of the descriptor ring for `desc`. */
  readonly offset: number;
  readonly length: number;
  /** Used elements that go on at the beginning of the ring, because the run before them came to its end. */
  readonly wrapped: boolean;
}

/** Addresses of a ring, for a write that has to be marked. */
export interface RingPlace {
  /** log_guest_addr. */
  readonly logGuestAddr: number;
  /** The used part as SET_VRING_ADDR gives it. */
  readonly used: number;
  /** Guest physical addresses of the write itself, by the memory table. */
  readonly gpas: readonly GpaRun[];
}

/**
 * What a device decides, point by point. `CONDUCT` is a device that decides right; a fault is one that decides one of
 * these in another way.
 */
export interface Conduct {
  /** Whether a write is logged. */
  isLogged(what: VhostWrite, gates: Gates): boolean;
  /** What is marked of the buffers of one packet. */
  bufferRuns(buffers: readonly BufferWrite[]): GpaRun[];
  /** Where a write into a ring is marked when rings are given by user address; nothing: it is not. */
  ringRuns(write: RingWrite, place: RingPlace): readonly GpaRun[];
  /** Which of the guest physical addresses of a run of I/O addresses are marked. */
  aliases(gpas: readonly GpaRun[], iova: GpaRun): readonly GpaRun[];
  /** What of a guest physical address counts from the beginning of the log. */
  logAddress(address: number, regionStart: number): number;
  /** Pages of a run of bytes: the first one and the last one. */
  pages(address: number, length: number): readonly [first: number, last: number];
  /** Which pages of a run get their bit. */
  marksPage(page: number, first: number): boolean;
  /** Sets the bit of a page. */
  setBit(log: Uint8Array, page: number): void;
  /** Marks that still go into the log before, after it was replaced; Infinity: all of them. */
  readonly marksIntoOldLog: number;
  /** Marks that are held back are made when the ring stops, and before anything about the log changes. */
  readonly flushesMarks: boolean;

  /** A ring that was stopped or detached, or whose device is suspended, is left alone. */
  readonly stops: boolean;
  /** A ring of vhost-user that has its descriptors waits for its first kick. */
  readonly waitsForKick: boolean;
  /** A ring that is not enabled has no side effects. */
  readonly heedsEnable: boolean;
  /** A ring that is enabled while it is stopped is enabled when it starts. */
  readonly remembersEnable: boolean;
  /** GET_VRING_BASE, from buffers that were taken and returned since the ring began, and where it began. */
  baseOf(base: number, ring: { readonly inFlight: number; readonly wasBase: number }): number;
  /** Buffers in flight are finished when a ring stops. */
  readonly finishesInFlight: boolean;
  /** SET_FEATURES leaves running rings as they are. */
  readonly keepsRingsOnFeatures: boolean;
  /** Size and base of a ring that runs are refused. */
  readonly refusesRingChange: boolean;
  /** Features that were not offered are refused. */
  readonly refusesUnoffered: boolean;
  /** LOG_ALL with a ring that runs and has no log is refused. */
  readonly refusesMissingLog: boolean;
  /** A state that is loaded is taken; a broken one is refused. */
  readonly load: 'checked' | 'ignored' | 'unchecked';
  /** Kicks that came while the device was suspended are seen by RESUME. */
  readonly replaysKicks: boolean;
  /** SET_STATUS and GET_STATUS keep all bits. */
  statusOf(status: number): number;
  /** Waits for DRIVER_OK. */
  readonly waitsForDriverOk: boolean;
  /** Features are refused once FEATURES_OK is set. */
  readonly refusesLateFeatures: boolean;
  /** Bits of the status that are taken away are refused. */
  readonly refusesLostStatus: boolean;
  /** A status of 0 stops all rings. */
  readonly resets: boolean;
  /** Commands of the control queue take effect. */
  readonly obeysControl: boolean;
}

/** What was written of a buffer, descriptor by descriptor. */
export function clamped({ writable, written }: BufferWrite): GpaRun[] {
  const runs: GpaRun[] = [];
  let left = written;
  for (const { address, length } of writable) {
    if (left <= 0) break;
    runs.push({ address, length: Math.min(left, length) });
    left -= length;
  }
  return runs;
}

/** As the kernel and the text of vhost-user want it. */
export const CONDUCT: Conduct = {
  isLogged: (what, { logAll, ring }) => (what === 'buffer' ? logAll : ring),
  bufferRuns: (buffers) => buffers.flatMap(clamped),
  ringRuns: ({ what, offset, length }, { logGuestAddr, gpas }) =>
    // The descriptor ring has no address of its own in the log.
    what === 'desc' ? gpas : [{ address: logGuestAddr + offset, length }],
  aliases: (gpas) => gpas,
  logAddress: (address) => address,
  pages: (address, length) => [
    Math.floor(address / VHOST_LOG_PAGE),
    Math.floor((address + length - 1) / VHOST_LOG_PAGE),
  ],
  marksPage: () => true,
  setBit: (log, page) => {
    // Other processes set bits of the same log, and the VMM takes them away.
    Atomics.or(log, Math.floor(page / 8), 1 << (page % 8));
  },
  marksIntoOldLog: 0,
  flushesMarks: true,
  stops: true,
  waitsForKick: true,
  heedsEnable: true,
  remembersEnable: true,
  baseOf: (base) => base,
  finishesInFlight: true,
  keepsRingsOnFeatures: true,
  refusesRingChange: true,
  refusesUnoffered: true,
  refusesMissingLog: true,
  load: 'checked',
  replaysKicks: true,
  statusOf: (status) => status,
  waitsForDriverOk: true,
  refusesLateFeatures: true,
  refusesLostStatus: true,
  resets: true,
  obeysControl: true,
};
