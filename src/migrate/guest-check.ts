import type { GuestBooks } from './machine.js';
import type { VirtualMachine, VmDevice } from './virtual-machine.js';

/** Frames in each direction that show that a device works. */
const FRAMES = 16;
const PAUSE = 5;

/** What came out when the guest tried a device. */
export interface GuestCheck {
  readonly device: VmDevice;
  /** Null: the guest has no driver for it. */
  readonly works: boolean | null;
  readonly books: GuestBooks | null;
}

/** Waits until the guest has set all its devices up, as long as it has the patience (milliseconds). */
export async function guestIsUp(vm: VirtualMachine, patience: number): Promise<boolean> {
  const deadline = performance.now() + patience;
  const up = () => vm.parts.every(({ machine }) => machine.guest?.isUp ?? true);
  while (!up() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, PAUSE));
  return up();
}

/**
 * Lets the guest run and watches its drivers: a device works when frames went both ways. What was found is told
 * as events.
 * @param patience milliseconds
 */
export async function checkGuest(vm: VirtualMachine, patience: number): Promise<GuestCheck[]> {
  const before = new Map(vm.parts.map((device) => [device, device.machine.guest?.books() ?? null]));
  const deadline = performance.now() + patience;
  const waiting = () => vm.parts.filter((device) => works(device, before.get(device) ?? null) === false);
  while (waiting().length > 0 && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  return vm.parts.map((device) => {
    const books = device.machine.guest?.books() ?? null;
    const check = { device, works: works(device, before.get(device) ?? null), books };
    tell(check);
    return check;
  });
}

function works({ machine }: VmDevice, before: GuestBooks | null): boolean | null {
  if (machine.guest === null || before === null) return null;
  const { framesReceived, framesOnWire } = machine.guest.books();
  const moved = Math.min(framesReceived - before.framesReceived, framesOnWire - before.framesOnWire);
  return machine.guest.isUp && moved >= FRAMES;
}

function tell({ device, works, books }: GuestCheck): void {
  if (works !== null) device.tell({ kind: 'guest_check', works });
  if (books === null) return;
  device.tell({
    kind: 'guest_books',
    lost: books.framesLost,
    duplicated: books.framesDuplicated,
    reordered: books.framesReordered,
    corrupted: books.framesCorrupted,
    mailboxMisanswered: books.mailboxMisanswered,
  });
}
