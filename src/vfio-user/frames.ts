import { VFIO_USER_FLAGS, VfioUserHeader, type VfioUserMessageHead } from '../uapi/vfio-user.js';

/** A whole message. The payload is its own memory. */
export interface VfioUserMessage {
  readonly head: VfioUserMessageHead;
  readonly payload: Uint8Array;
}

/** A header that cannot be: where the next message begins is not known, so nothing more can be read. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
  /** What the header says of itself, for a reply. */
  readonly msgId: number;
  readonly command: number;

  constructor(message: string, { msgId, command }: { msgId: number; command: number }) {
    super(message);
    this.msgId = msgId;
    this.command = command;
  }
}

/** Bits of the header's flags that are the type. */
const { TYPE_MASK, TYPE_COMMAND, TYPE_REPLY, NO_REPLY, ERROR } = VFIO_USER_FLAGS;

/**
 * Cuts a stream of bytes into messages, however it comes in. At most one message is held, and a size that is
 * not allowed is refused when its header is there, before any memory is taken for it.
 */
export class FrameParser {
  /** Bytes of a message at most, header included. */
  most: number;
  readonly #header = new Uint8Array(VfioUserHeader.size);
  readonly #view = new DataView(this.#header.buffer);
  #headerFilled = 0;
  #head: VfioUserMessageHead | null = null;
  #payload: Uint8Array = this.#header;
  #filled = 0;

  constructor(most: number) {
    this.most = most;
  }

  /** Bytes of a message that has begun. */
  get pending(): number {
    return this.#headerFilled + this.#filled;
  }

  /**
   * Takes the next bytes, and gives each message that they complete to `take`.
   * @throws FrameError for a header that cannot be; the messages before it were given
   */
  push(block: Uint8Array, take: (message: VfioUserMessage) => void): void {
    for (let at = 0; at < block.length; ) {
      if (this.#head === null) {
        at += this.#fillHeader(block, at);
        if (this.#headerFilled < VfioUserHeader.size) return;
        this.#head = this.#decode();
        this.#payload = new Uint8Array(this.#head.size - VfioUserHeader.size);
        this.#filled = 0;
      }
      const part = block.subarray(at, at + this.#payload.length - this.#filled);
      this.#payload.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled < this.#payload.length) return;
      const message = { head: this.#head, payload: this.#payload };
      this.#head = null;
      this.#headerFilled = 0;
      this.#filled = 0;
      take(message);
    }
  }

  #fillHeader(block: Uint8Array, at: number): number {
    const part = block.subarray(at, at + VfioUserHeader.size - this.#headerFilled);
    this.#header.set(part, this.#headerFilled);
    this.#headerFilled += part.length;
    return part.length;
  }

  #decode(): VfioUserMessageHead {
    const { offsets } = VfioUserHeader;
    const flags = this.#view.getUint32(offsets.flags, true);
    const head = {
      msgId: this.#view.getUint16(offsets.msg_id, true),
      command: this.#view.getUint16(offsets.cmd, true),
      size: this.#view.getUint32(offsets.size, true),
      type: (flags & TYPE_MASK) === TYPE_REPLY ? ('reply' as const) : ('command' as const),
      noReply: (flags & NO_REPLY) !== 0,
      failed: (flags & ERROR) !== 0,
      errno: this.#view.getUint32(offsets.error_no, true),
    };
    if (head.size < VfioUserHeader.size || head.size > this.most)
      throw new FrameError(
        `a message of ${head.size} bytes is announced, and it must have ${VfioUserHeader.size} to ${this.most}`,
        head,
      );
    const type = flags & TYPE_MASK;
    if (type !== TYPE_COMMAND && type !== TYPE_REPLY)
      throw new FrameError(`a message of type ${type} is announced, and there are only 0 and 1`, head);
    return head;
  }
}
