import { DeviceError } from 'stopcopy/uapi';
import type { LoadSession } from '../migratable.js';
import { IMAGE_FILE_SIZE } from './image-error.js';

/**
 * The file that a published driver resumes from. It is not the session's: it stays attached after RESUMING,
 * until it is loaded, and is written to as long as that.
 *
 * Generation A counts what is written, from 0. Generation B counts on from the 128 KiB that the file has, and
 * takes what the count allows, also behind the end of its memory; here that is dropped.
 */
export class ResumeFile implements LoadSession {
  readonly #generation: 'a' | 'b';
  readonly #bytes = new Uint8Array(IMAGE_FILE_SIZE);
  #position = 0;
  #length: number;
  #disabled = false;

  constructor(generation: 'a' | 'b') {
    this.#generation = generation;
    this.#length = generation === 'a' ? 0 : IMAGE_FILE_SIZE;
  }

  write(bytes: Uint8Array): undefined {
    const end = this.#position + bytes.length;
    const bound = this.#generation === 'a' ? IMAGE_FILE_SIZE : this.#length;
    // A disabled file of generation B has length 0, so this is what its writer gets.
    if (end > bound) throw new DeviceError('ENOMEM', `byte ${end} is behind the ${bound} of the resume file`);
    if (this.#disabled) throw new DeviceError('ENODEV', 'the resume file was loaded');
    const room = Math.max(0, IMAGE_FILE_SIZE - this.#position);
    this.#bytes.set(bytes.subarray(0, room), Math.min(this.#position, IMAGE_FILE_SIZE));
    this.#position = end;
    this.#length += bytes.length;
  }

  writeAfterEnd(bytes: Uint8Array): undefined {
    this.write(bytes);
  }

  /** What the loader is given. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Position and length are 0 from here on. */
  disable(): void {
    this.#disabled = true;
    this.#position = 0;
    this.#length = 0;
  }
}
