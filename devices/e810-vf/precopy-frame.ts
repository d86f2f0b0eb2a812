import { struct } from 'stopcopy/uapi';

/**
 * What tells the images of a PRE_COPY stream apart: this header before each of them. A stream that was saved
 * without PRE_COPY is one image without a header.
 *
 * | bytes | what |
 * |---|---|
 * | 0 to 3 | magic number, "VFPC": no image of either generation begins like this |
 * | 4 to 7 | kind: 1 preliminary, 2 final, which is the last of the stream |
 * | 8 to 11 | bytes of the image |
 */
export const PrecopyFrame = struct('e810_vf_precopy', { magic: 'u32', kind: 'u32', length: 'u32' });
export const PRECOPY_MAGIC = 0x43504656;
export const PRECOPY_KIND = { preliminary: 1, final: 2 } as const;

/** An image with its header. */
export function framed(kind: keyof typeof PRECOPY_KIND, image: Uint8Array): Uint8Array {
  const head = PrecopyFrame.encode({
    magic: PRECOPY_MAGIC,
    kind: PRECOPY_KIND[kind],
    length: image.length,
  });
  const bytes = new Uint8Array(head.length + image.length);
  bytes.set(head);
  bytes.set(image, head.length);
  return bytes;
}
