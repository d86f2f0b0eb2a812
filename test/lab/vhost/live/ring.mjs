// The driver's side of a split virtqueue over guest memory, as plain as can be: an oracle beside the one that is tested.
const [WRITE] = [2];

/** Guest memory: bytes from a guest physical address on. */
export class Guest {
  constructor(memory, gpa) {
    this.gpa = gpa;
    this.bytes = memory.bytes;
    this.words = new DataView(memory.bytes.buffer, memory.bytes.byteOffset, memory.bytes.byteLength);
  }
  at(address) {
    return address - this.gpa;
  }
}

/** A queue whose three parts each begin a page of their own. */
export class Ring {
  constructor(guest, { size, desc, avail, used }) {
    Object.assign(this, { guest, size, desc, avail, used, offered: 0, seen: 0 });
  }

  /** Makes a buffer available in the next slot; the descriptor has the slot's number. */
  offer(address, length, writable) {
    const { words } = this.guest;
    const slot = this.offered % this.size;
    const desc = this.guest.at(this.desc) + 16 * slot;
    words.setBigUint64(desc, BigInt(address), true);
    words.setUint32(desc + 8, length, true);
    words.setUint16(desc + 12, writable ? WRITE : 0, true);
    words.setUint16(desc + 14, 0, true);
    words.setUint16(this.guest.at(this.avail) + 4 + 2 * slot, slot, true);
    this.offered++;
    words.setUint16(this.guest.at(this.avail) + 2, this.offered & 0xffff, true);
    return slot;
  }

  get usedIndex() {
    return this.guest.words.getUint16(this.guest.at(this.used) + 2, true);
  }

  /** Used elements since the last look. */
  collect() {
    const elements = [];
    for (; (this.seen & 0xffff) !== this.usedIndex; this.seen++) {
      const at = this.guest.at(this.used) + 4 + 8 * (this.seen % this.size);
      elements.push({
        id: this.guest.words.getUint32(at, true),
        length: this.guest.words.getUint32(at + 4, true),
      });
    }
    return elements;
  }
}

/** Waits until something is so; false when it has not become so. */
export async function eventually(ready, ms = 5000) {
  for (const end = Date.now() + ms; ; ) {
    if (ready()) return true;
    if (Date.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** An Ethernet frame of so many bytes that nobody answers. */
export function frame(length) {
  const bytes = new Uint8Array(length).fill(0xee);
  bytes.fill(0xff, 0, 6);
  bytes.set([2, 0, 0, 0, 0, 1, 0x88, 0xb5], 6);
  return bytes;
}

/** What a step came to: `OK`, or the name of the errno. */
export async function errnoOf(call) {
  try {
    await call();
    return 'OK';
  } catch (error) {
    if (typeof error?.code !== 'string') throw error;
    return error.code;
  }
}
