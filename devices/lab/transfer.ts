import { type DataFd, DeviceError, refusalOf } from 'stopcopy/uapi';

/** Bytes of the first reads of a stream and of its writes: so few that each stream needs several. */
const PIECE = 16;
const FIRST_READS = 8;
/** Bytes of the others. */
const LARGE = 65536;
/** Bytes that no state of a device in a lab has: more than that is a stream without an end. */
const MOST = 64 << 20;

/** Reads to the end for now (ENOMSG) or for ever (0), in pieces of so many bytes. */
export async function drain(fd: DataFd, piece = LARGE): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let given = 0; given <= MOST; ) {
    const part = await readOnce(fd, piece);
    if (part === null) return Buffer.concat(parts);
    parts.push(part);
    given += part.length;
  }
  throw new DeviceError('EFBIG', `the data has no end after ${MOST} bytes`);
}

/** All there is for now: a few bytes at a time, and what is left in large pieces. */
export async function take(from: DataFd): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let reads = 0; reads < FIRST_READS; reads++) {
    const part = await readOnce(from, PIECE);
    if (part === null) return Buffer.concat(parts);
    parts.push(part);
  }
  return Buffer.concat([...parts, await drain(from)]);
}

/** What a read gives, or null at an end. */
async function readOnce(fd: DataFd, piece: number): Promise<Uint8Array | null> {
  const into = new Uint8Array(piece);
  let size = 0;
  const error = await refusalOf(async () => {
    size = await fd.read(into);
  });
  if (error && error.code !== 'ENOMSG') throw error;
  return size === 0 ? null : into.subarray(0, size);
}

/** Writes all of it, its beginning in small pieces. @throws DeviceError also when nothing more is taken */
export async function write(to: DataFd, bytes: Uint8Array): Promise<void> {
  const step = (at: number) => (at < FIRST_READS * PIECE ? PIECE : LARGE);
  for (let at = 0; at < bytes.length; ) {
    const taken = await to.write(bytes.subarray(at, at + step(at)));
    if (taken === 0) throw new DeviceError('EIO', `write() takes nothing after ${at} bytes`);
    at += taken;
  }
}
