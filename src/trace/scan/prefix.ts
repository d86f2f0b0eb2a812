/** Length of `2026-11-21T01:29:28.468502Z ` and of `2026-11-21T01:29:28Z `, which GLib prints at a full second. */
export const ISO_LONG = 28;
export const ISO_SHORT = 21;

/** Digits, `@`, digits, `.`: the longest such prefix whose last digit stands within 32 bytes. */
const TID_LIMIT = 32;

const ISO_SHAPE = '0000-00-00T00:00';

/**
 * Length of the time prefix of the line at `start`, 0 when there is none. Reads at most 41 bytes.
 * The forms are those of QEMU's log back end: `TID@SEC.USEC:` and ISO 8601 in UTC with a space.
 */
export function prefixLength(text: Uint8Array, start: number): number {
  if (!isDigit(text[start]!)) return 0;
  return tidPrefix(text, start) || isoPrefix(text, start);
}

function isDigit(byte: number): boolean {
  return byte >= 48 && byte <= 57;
}

/** How many digits stand at `from`, looking no further than `limit`. */
function digits(text: Uint8Array, from: number, limit: number): number {
  let at = from;
  while (at < limit && isDigit(text[at]!)) at++;
  return at - from;
}

function tidPrefix(text: Uint8Array, start: number): number {
  const limit = start + TID_LIMIT;
  const thread = digits(text, start, limit);
  if (text[start + thread] !== 64) return 0;
  const seconds = digits(text, start + thread + 1, limit);
  const dot = start + thread + 1 + seconds;
  if (seconds === 0 || text[dot] !== 46) return 0;
  const fraction = digits(text, dot + 1, limit);
  return fraction === 6 && text[dot + 7] === 58 ? dot + 8 - start : 0;
}

function isoPrefix(text: Uint8Array, start: number): number {
  for (let i = 0; i < ISO_SHAPE.length; i++) {
    const shape = ISO_SHAPE.charCodeAt(i);
    const byte = text[start + i]!;
    if (shape === 48 ? !isDigit(byte) : byte !== shape) return 0;
  }
  const second = start + ISO_SHAPE.length;
  if (text[second] !== 58 || digits(text, second + 1, second + 3) !== 2) return 0;
  if (text[second + 3] === 90) return text[second + 4] === 32 ? ISO_SHORT : 0;
  if (text[second + 3] !== 46 || digits(text, second + 4, second + 10) !== 6) return 0;
  return text[second + 10] === 90 && text[second + 11] === 32 ? ISO_LONG : 0;
}
