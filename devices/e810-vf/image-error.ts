import { DeviceError } from 'stopcopy/uapi';

/** What is wrong with an image. The names are stable. */
export type ImageProblem =
  /** It ends too early, or a length in it says more than there is. */
  | 'truncated'
  /** It goes on behind its end. */
  | 'trailing'
  /** It would be larger than the file that carries it. */
  | 'overflow'
  /** The image of the other generation: both have the same magic number and version. */
  | 'other-generation'
  | 'magic'
  | 'version'
  /** A length or count that contradicts another one. */
  | 'length'
  /** B: a record whose length is no multiple of 4. */
  | 'alignment'
  /** B: the first record is not HEADER. */
  | 'no-header'
  /** B: a type that this side or the sender does not know. */
  | 'unknown-type'
  /** B: a record, queue or vector that is there already. */
  | 'duplicate'
  /** B: a record that must be there is not. */
  | 'missing'
  /** Bytes or bits that must be zero are not. */
  | 'not-zero'
  /** The image is sound, and of a VF that is not like this one. */
  | 'mismatch';

/**
 * An image that cannot be taken. `code` is the errno that the published loader gives for this; where it does
 * not look, EINVAL.
 */
export class ImageError extends DeviceError {
  override readonly name = 'ImageError';

  /** @param offset where in the image, in bytes */
  constructor(
    readonly problem: ImageProblem,
    code: string,
    readonly offset: number,
    message: string,
  ) {
    super(code, `${message} (${problem} at byte ${offset})`);
  }
}

/** The ImageError that a call throws, or null. */
export function imageErrorOf(call: () => unknown): ImageError | null {
  try {
    call();
    return null;
  } catch (error) {
    if (error instanceof ImageError) return error;
    throw error;
  }
}

/** What both generations have in common, and the only thing: the reason why each must know the other. */
export const IMAGE_MAGIC = 0xe8000001;
/** The version that images of both generations have. */
export const IMAGE_VERSION = 1;

/** Size of the file that carries an image, and what MIG_DATA_SIZE reports for both generations. */
export const IMAGE_FILE_SIZE = 128 * 1024;

/** Which generation the beginning of an image belongs to, by the place of the magic number. */
export function generationOf(bytes: Uint8Array): 'a' | 'b' | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = (offset: number) => (bytes.length >= offset + 4 ? view.getUint32(offset, true) : null);
  if (at(0) === IMAGE_MAGIC) return 'a';
  return at(4) === IMAGE_MAGIC ? 'b' : null;
}
