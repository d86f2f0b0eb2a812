/**
 * The guest: a few instructions of real mode that go through a list of pages and touch a place in each, then halt.
 * Real mode needs no page tables, so that nothing but these accesses touches memory that is logged.
 */

/** How the guest touches a page. */
export type GuestAccess =
  | 'write'
  /** Two bytes in one access, which may reach into the next page. */
  | 'write_word'
  /** As `write`, with an exit by I/O after each page. */
  | 'write_and_exit'
  | 'read';

/** mov bx,[si]; add si,2; mov es,bx: the segment of the next page of the list. */
const NEXT = [0x8b, 0x1c, 0x83, 0xc6, 0x02, 0x8e, 0xc3];
/** out 0x10,al */
const EXIT = [0xe6, 0x10];
const LOOP = 0xe2;
const HLT = 0xf4;

const TOUCH: Readonly<Record<GuestAccess, readonly number[]>> = {
  write: [0x26, 0x88, 0x15], // mov es:[di],dl
  write_word: [0x26, 0x89, 0x15], // mov es:[di],dx
  write_and_exit: [0x26, 0x88, 0x15, ...EXIT],
  read: [0x26, 0x8a, 0x15], // mov dl,es:[di]
};

function program(touch: readonly number[]): Uint8Array {
  const body = [...NEXT, ...touch];
  const back = -(body.length + 2);
  return Uint8Array.of(...body, LOOP, back & 0xff, HLT);
}

const BLOCK = 64;
const ACCESSES = Object.keys(TOUCH) as GuestAccess[];

/** Where the guest's own memory begins, which is not logged, and its bytes: the last block below 1 MiB. */
export const GUEST_CODE = { gpa: 0xf0000, size: 0x10000 } as const;
/** Pages of one list. */
export const LONGEST_LIST = 1024;
const LIST = 0x1000;

/** Writes the programs into the guest's own memory. */
export function putGuestCode(own: Uint8Array): void {
  for (const [index, access] of ACCESSES.entries()) own.set(program(TOUCH[access]), BLOCK * index);
}

/** The registers with which the guest begins, beside its segments, which begin at `GUEST_CODE.gpa`. */
export interface GuestStart {
  readonly rip: bigint;
  readonly rcx: bigint;
  readonly rdx: bigint;
  readonly rsi: bigint;
  readonly rdi: bigint;
}

/**
 * Writes a list of pages, and says how the guest begins to go through it.
 * @param pages numbers of pages, guest physical address over 4096; 1 to `LONGEST_LIST`
 * @param offset where in each page, below 4096
 * @param value what is written: 16 bits
 */
export function putGuestList(
  own: Uint8Array,
  access: GuestAccess,
  pages: readonly number[],
  offset: number,
  value: number,
): GuestStart {
  const words = new DataView(own.buffer, own.byteOffset, own.byteLength);
  // A segment is a sixteenth of an address.
  for (const [index, page] of pages.entries()) words.setUint16(LIST + 2 * index, page << 8, true);
  return {
    rip: BigInt(BLOCK * ACCESSES.indexOf(access)),
    rcx: BigInt(pages.length),
    rdx: BigInt(value),
    rsi: BigInt(LIST),
    rdi: BigInt(offset),
  };
}
