import type { SaveSession } from '../migratable.js';
import { SaveStream } from '../save-stream.js';
import { framed, PrecopyFrame } from './precopy-frame.js';

/** The STOP_COPY data of a device that saves without PRE_COPY: one image, and nothing else. */
export function wholeSave(image: Uint8Array): SaveSession {
  const stream = new SaveStream(image);
  return { read: (into) => stream.read(into) };
}

/**
 * A session that begins in PRE_COPY: a preliminary image as initial data, another one whenever the last was
 * read and the state is no longer that, and the final one from STOP_COPY. An image is small, so all of it is
 * sent anew, and whether the state has changed is seen by comparing.
 */
export class PrecopySave implements SaveSession {
  readonly #image: () => Uint8Array;
  readonly #stream: SaveStream;
  #last: Uint8Array;
  #final = false;

  /** @param image encodes the state as it is at the call */
  constructor(image: () => Uint8Array) {
    this.#image = image;
    this.#last = image();
    this.#stream = new SaveStream(framed('preliminary', this.#last));
  }

  read(into: Uint8Array): number {
    if (!this.#final && this.#isDrained) this.#appendChanged();
    return this.#stream.read(into);
  }

  precopy(): { initial: number; dirty: number } {
    const { initial, later } = this.#stream;
    return { initial, dirty: later + (this.#isDrained ? this.#changed() : 0) };
  }

  /** STOP_COPY: appends the final image, changed or not. @throws DeviceError when there is no image */
  finish(): void {
    this.#stream.append(framed('final', this.#image()));
    this.#final = true;
  }

  /** Bytes that are read once more: until then, the last image tells what the state is. */
  #changed(): number {
    const image = this.#image();
    return Buffer.compare(image, this.#last) === 0 ? 0 : PrecopyFrame.size + image.length;
  }

  #appendChanged(): void {
    const image = this.#image();
    if (Buffer.compare(image, this.#last) === 0) return;
    this.#last = image;
    this.#stream.append(framed('preliminary', image));
  }

  get #isDrained(): boolean {
    return this.#stream.initial + this.#stream.later === 0;
  }
}
