import { DeviceError } from 'stopcopy/uapi';
import type { LoadSession } from '../migratable.js';
import { type ArrivingImage, arrivingImage } from './image-check.js';
import { IMAGE_FILE_SIZE } from './image-error.js';
import { PRECOPY_KIND, PRECOPY_MAGIC, PrecopyFrame } from './precopy-frame.js';
import type { VfIdentity, VfState } from './vf-state.js';

/** Bytes that tell a frame from an image. */
const MAGIC_SIZE = 4;

const invalid = (words: string) => new DeviceError('EINVAL', `the stream of the VF ${words}`);

/**
 * Takes the stream of a VF in any segmentation: one image, or those of a PRE_COPY session in their frames. What
 * it has refused stays refused until the session ends.
 */
export class UapiLoad implements LoadSession {
  readonly #generation: 'a' | 'b';
  readonly #identity: VfIdentity;
  #refused: DeviceError | null = null;
  /** Bytes of which it is not known yet what they are: less than a frame's header. */
  #rest: Uint8Array = new Uint8Array(0);
  #framed: boolean | null = null;
  #frame: { final: boolean; length: number } | null = null;
  #image: ArrivingImage | null = null;
  #final: VfState | null = null;

  constructor(generation: 'a' | 'b', identity: VfIdentity) {
    this.#generation = generation;
    this.#identity = identity;
  }

  write(bytes: Uint8Array): undefined {
    if (this.#refused) throw this.#refused;
    try {
      this.#take(bytes);
    } catch (error) {
      if (error instanceof DeviceError) this.#refused = error;
      throw error;
    }
  }

  /** What was loaded. @throws DeviceError when the stream was refused, or while it is not complete */
  state(): VfState {
    if (this.#refused) throw this.#refused;
    if (this.#framed === false) return this.#image!.state();
    if (this.#final === null)
      throw invalid(
        this.#framed ? 'ends before its final image' : `has ${this.#rest.length} bytes and no image`,
      );
    return this.#final;
  }

  #take(bytes: Uint8Array): void {
    let rest = bytes;
    if (this.#image === null) rest = joined(this.#rest, bytes);
    if (this.#framed === null && rest.length >= MAGIC_SIZE) {
      this.#framed = startsFrame(rest);
      if (!this.#framed) this.#image = arrivingImage(this.#generation, this.#identity);
    }
    if (this.#framed === false) this.#image!.take(rest);
    else this.#rest = (this.#framed ? this.#takeFrames(rest) : rest).slice();
  }

  /** Returns what is less than the header of the next frame. */
  #takeFrames(bytes: Uint8Array): Uint8Array {
    let rest = bytes;
    while (rest.length > 0) {
      if (this.#final) throw invalid('goes on behind its final image');
      if (this.#image === null) {
        if (rest.length < PrecopyFrame.size) break;
        this.#begin(rest);
        rest = rest.subarray(PrecopyFrame.size);
      }
      rest = this.#fill(rest);
    }
    return rest;
  }

  #begin(bytes: Uint8Array): void {
    const { magic, kind, length } = PrecopyFrame.decode(bytes);
    if (magic !== PRECOPY_MAGIC) throw invalid(`has the magic 0x${magic.toString(16)} before an image`);
    if (kind !== PRECOPY_KIND.preliminary && kind !== PRECOPY_KIND.final)
      throw invalid(`has an image of kind ${kind}`);
    if (length === 0 || length > IMAGE_FILE_SIZE) throw invalid(`has an image of ${length} bytes`);
    this.#frame = { final: kind === PRECOPY_KIND.final, length };
    this.#image = arrivingImage(this.#generation, this.#identity);
  }

  /** Gives the image what belongs to it, and returns the rest. A whole image has to be a state of this VF. */
  #fill(bytes: Uint8Array): Uint8Array {
    const { final, length } = this.#frame!;
    const image = this.#image!;
    const part = bytes.subarray(0, length - image.length);
    image.take(part);
    if (image.length === length) {
      const state = image.state();
      if (final) this.#final = state;
      this.#image = null;
    }
    return bytes.subarray(part.length);
  }
}

function startsFrame(bytes: Uint8Array): boolean {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) === PRECOPY_MAGIC;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (first.length === 0) return second;
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}
