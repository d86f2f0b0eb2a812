import { statSync } from 'node:fs';
import { readTrace, type TraceInput } from '../trace/open.js';
import { InputError } from '../trace/reader.js';

/** Stops a reading that has shown what it had to. */
const ENOUGH = Symbol('enough');

/** Whether an input can be read only once: standard input, a named pipe, a process substitution. */
export function isOneShot(input: TraceInput): boolean {
  if (input.file === '-') return true;
  const stats = statSync(input.file, { throwIfNoEntry: false });
  return stats !== undefined && !stats.isFile() && !stats.isDirectory();
}

/**
 * Why an input cannot be read, or null when it can: opened, decompressed, and of a known format. Only
 * its beginning is read; what can be read only once is left alone and taken for readable.
 */
export async function unreadable(input: TraceInput): Promise<InputError | null> {
  if (isOneShot(input)) return null;
  try {
    await readTrace(input, {
      emit: enough,
      // At the end of a short file its format is still to be found out.
      progress: (done, total) => done < (total ?? Number.POSITIVE_INFINITY) && enough(),
    });
    return null;
  } catch (error) {
    if (error === ENOUGH) return null;
    if (error instanceof InputError) return error;
    throw error;
  }
}

function enough(): never {
  throw ENOUGH;
}
