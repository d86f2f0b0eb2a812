import { close, fstat, ftruncate, open, read, write } from 'node:fs';
import { promisify } from 'node:util';

/** Calls of the system on descriptors, as promises. */
export const io = {
  open: promisify(open),
  close: promisify(close),
  read: promisify(read),
  stat: promisify(fstat),
  truncate: promisify(ftruncate),
};
const writeSome = promisify(write);

/** Writes all of the bytes; without a position, where the descriptor stands. */
export async function writeAll(fd: number, bytes: Uint8Array, position: number | null): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const at = position === null ? null : position + done;
    done += (await writeSome(fd, bytes, done, bytes.length - done, at)).bytesWritten;
  }
}

/** Fills `into`; returns how many bytes there were. */
export async function readFull(fd: number, into: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await io.read(fd, into, done, into.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}
