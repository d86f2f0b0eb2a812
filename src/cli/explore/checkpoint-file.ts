import { closeSync, fstatSync, fsyncSync, openSync, readSync, renameSync, writeSync } from 'node:fs';
import { UsageError } from '../exit.js';

/** Bytes of one read or write. */
const PIECE = 2 ** 28;

/**
 * Writes a checkpoint beside the file and puts it in its place only when it is whole: a search that is killed
 * while it writes leaves the checkpoint before. The file is for the owner only.
 * @throws UsageError when it cannot be written
 */
export function writeCheckpoint(path: string, parts: readonly Uint8Array[]): void {
  try {
    const fd = openSync(`${path}.new`, 'w', 0o600);
    try {
      for (const part of parts)
        for (let at = 0; at < part.length; ) at += writeSync(fd, part, at, Math.min(part.length - at, PIECE));
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(`${path}.new`, path);
  } catch (error) {
    throw new UsageError(`cannot write the checkpoint ${path}: ${codeOf(error)}`);
  }
}

/** @throws UsageError when it cannot be read */
export function readCheckpoint(path: string): Uint8Array {
  try {
    const fd = openSync(path, 'r');
    try {
      return readWhole(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw new UsageError(`cannot read the checkpoint ${path}: ${codeOf(error)}`);
  }
}

/** In pieces: readFile takes no more than 2 GiB. */
function readWhole(fd: number): Uint8Array {
  const bytes = new Uint8Array(fstatSync(fd).size);
  let at = 0;
  for (let got = -1; got !== 0 && at < bytes.length; at += got)
    got = readSync(fd, bytes, at, Math.min(bytes.length - at, PIECE), null);
  return bytes.subarray(0, at);
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
