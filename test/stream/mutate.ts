/** A generator of numbers that gives the same ones for a seed (mulberry32): below `most`. */
export function dice(seed: number): (most: number) => number {
  let state = seed >>> 0;
  return (most) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000) * most);
  };
}

/** Words that lengths, offsets, tags and flags go wrong with. */
const HOSTILE = [
  '00',
  'ff',
  '7e',
  '00000000',
  'ffffffff',
  '7fffffff',
  '80000000',
  '0000000000000010',
  '0000000000000004',
  '0000000000000208',
  'ffffffffffffffff',
  '7fffffffffffffff',
  '001fffffffffffff',
  '0020000000000000',
  'ffffffffef100001',
  'ffffffffef100002',
  'ffffffffef100004',
  '0800070004ffffffff',
  '0600ffffff7b',
].map((hex) => Buffer.from(hex, 'hex'));

/** A stream with one to four changes: bytes flipped, overwritten, dropped, repeated, inserted, cut off. */
export function mutated(bytes: Buffer, roll: (most: number) => number): Buffer {
  let out = bytes;
  for (let left = 1 + roll(4); left > 0 && out.length > 0; left--) out = change(out, roll);
  return out;
}

function change(bytes: Buffer, roll: (most: number) => number): Buffer {
  const at = roll(bytes.length);
  const some = bytes.subarray(at, at + 1 + roll(40));
  switch (roll(8)) {
    case 0:
    case 1: {
      const out = Buffer.from(bytes);
      out[at]! ^= 1 << roll(8);
      return out;
    }
    case 2:
    case 3: {
      const out = Buffer.from(bytes);
      HOSTILE[roll(HOSTILE.length)]!.copy(out, at);
      return out;
    }
    case 4:
      return Buffer.concat([bytes.subarray(0, at), HOSTILE[roll(HOSTILE.length)]!, bytes.subarray(at)]);
    case 5:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + some.length)]);
    case 6:
      return Buffer.concat([bytes.subarray(0, at), some, bytes.subarray(at)]);
    default:
      return bytes.subarray(0, at);
  }
}
