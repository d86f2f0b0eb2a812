import type { BodyParser, Steps } from './cursor.js';
import { hex, quoted } from './error.js';
import type { SectionItem } from './item.js';

/**
 * A FULL section of our own: what the source has sent so far, so that the destination finds out before it
 * runs anything whether all of it arrived as it was. Its body, big-endian: u32 checksum (`checksum.ts`) of all bytes of the
 * main stream before the body, u32 number of multifd channels, and for each u8 channel, u64 bytes sent,
 * u32 checksum of them.
 */
export const DIGEST_SECTION = { idstr: 'stopcopy/digest', version: 1 } as const;

/** What was sent on one multifd channel when the digest was written. */
export interface ChannelDigest {
  channel: number;
  bytes: number;
  crc: number;
}

const HEAD = 8;
const ENTRY = 13;
/** A channel's number is a byte. */
const MAX_CHANNELS = 256;

/**
 * The body of the section.
 * @param crc of all bytes before the body: `checksumSoFar()` of the writer once it has the item `body`
 * @throws RangeError when a number does not fit its field
 */
export function encodeDigest(crc: number, channels: readonly ChannelDigest[]): Uint8Array {
  if (channels.length > MAX_CHANNELS) throw new RangeError(`${channels.length} channels in a digest`);
  const out = new Uint8Array(HEAD + ENTRY * channels.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, crc);
  view.setUint32(4, channels.length);
  for (const [index, { channel, bytes, crc: own }] of channels.entries()) {
    if (!Number.isInteger(channel) || channel < 0 || channel >= MAX_CHANNELS) {
      throw new RangeError(`a digest's channel: expected 0 to ${MAX_CHANNELS - 1}, got ${channel}`);
    }
    const at = HEAD + ENTRY * index;
    view.setUint8(at, channel);
    view.setBigUint64(at + 1, BigInt(bytes));
    view.setUint32(at + 9, own);
  }
  return out;
}

/** Whether a section is the digest. */
export function isDigest({ type, idstr }: SectionItem): boolean {
  return type === 'FULL' && idstr === DIGEST_SECTION.idstr;
}

/**
 * The parser of the section's body, for a stream that is read with the option `checksum`. It checks the main
 * stream; the channels are for `take` to compare, each when so many bytes of it were read.
 * @param take gets what the source has sent on the channels
 * @throws StreamError (when it reads) where the digest is damaged, or the checksum is not that of the stream
 */
export function digestParser(section: SectionItem, take: (channels: ChannelDigest[]) => void): BodyParser {
  return function* (c): Steps {
    const { idstr, version } = DIGEST_SECTION;
    if (section.version !== version) c.fail(`version ${version} of ${quoted(idstr)}`, `${section.version}`);
    const at = c.offset;
    const got = c.checksum;
    const crc = yield* c.u32('the checksum of the stream');
    if (crc !== got) {
      const expected = `the checksum ${hex(crc, 8)} of the ${at} bytes before the digest, as the source has it`;
      c.fail(expected, hex(got, 8), at);
    }
    const count = yield* c.u32('the number of channels');
    if (count > MAX_CHANNELS) c.fail(`at most ${MAX_CHANNELS} channels`, `${count}`, at + 4);
    const channels = new Map<number, ChannelDigest>();
    while (channels.size < count) {
      const entryAt = c.offset;
      const channel = yield* c.u8('the number of a channel');
      if (channels.has(channel)) c.fail('another channel', `${channel} again`, entryAt);
      const bytes = yield* c.size('the bytes of a channel');
      channels.set(channel, { channel, bytes, crc: yield* c.u32('the checksum of a channel') });
    }
    take([...channels.values()]);
  };
}
