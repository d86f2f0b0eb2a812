import { VFIO_STREAM_TAGS, type VfioStreamTag, vfioStreamTag } from '../uapi/qemu.js';
import { bodyUpToFooter } from './body-end.js';
import { type Context, handOut, runParser, tell } from './context.js';
import type { Steps } from './cursor.js';
import { hex } from './error.js';
import type { SectionItem } from './item.js';

const TAG_SIZE = 8;
const END_TAG = bytesOf(VFIO_STREAM_TAGS.END_OF_STATE);

/** Whether a section of this name holds the state of a VFIO device. */
export function isVfio(idstr: string): boolean {
  return idstr === 'vfio' || idstr.endsWith('/vfio');
}

/**
 * Reads the body of a VFIO section: records, up to the one that ends it.
 * @param size bytes of the body, where they are known beforehand
 */
export function* readVfioBody(x: Context, section: SectionItem, size: number | undefined): Steps {
  const { cursor: c } = x;
  const end = size === undefined ? undefined : c.offset + size;
  for (;;) {
    const at = c.offset;
    const tag = yield* readTag(x, 'a tag of a VFIO section');
    switch (tag) {
      case 'DEV_DATA_STATE': {
        const length = yield* c.size('a size of device data');
        tell(x, { kind: 'vfio', tag, size: length }, at);
        yield* handOut(x, length, 'device data');
        break;
      }
      case 'DEV_CONFIG_STATE':
        tell(x, { kind: 'vfio', tag }, at);
        yield* readConfig(x, section, end);
        yield* readEnd(x);
        return;
      case 'DEV_SETUP_STATE':
        tell(x, { kind: 'vfio', tag }, at);
        yield* readEnd(x);
        return;
      default:
        tell(x, { kind: 'vfio', tag }, at);
        return;
    }
  }
}

function* readTag(x: Context, expected: string): Steps<VfioStreamTag> {
  const { cursor: c } = x;
  yield* c.need(TAG_SIZE, expected);
  const at = c.offset;
  const value = yield* c.u64(expected);
  return vfioStreamTag(value) ?? c.fail(expected, hex(value, 16), at);
}

function* readEnd(x: Context): Steps {
  const { cursor: c } = x;
  const at = c.offset;
  const tag = yield* readTag(x, 'END_OF_STATE');
  if (tag !== 'END_OF_STATE') c.fail('END_OF_STATE', tag, at);
  tell(x, { kind: 'vfio', tag }, at);
}

/** The vmstate of the device is as long as its config space and MSI-X table, which it does not tell. */
function* readConfig(x: Context, section: SectionItem, end: number | undefined): Steps {
  const { cursor: c } = x;
  const what = 'the config state of the device';
  const size = end === undefined ? undefined : end - TAG_SIZE - c.offset;
  if (size !== undefined && size < 0) {
    c.fail(what, `the end of the section, as the vmdescription has it, at ${end}`);
  }
  const parser = x.parsers.configParser?.(section);
  if (parser !== undefined) yield* runParser(x, parser, size, what);
  else if (size === undefined) yield* bodyUpToFooter(x, section.id, END_TAG, what);
  else yield* handOut(x, size, what);
}

function bytesOf(tag: bigint): number[] {
  return Array.from({ length: TAG_SIZE }, (_, index) => Number((tag >> BigInt(56 - 8 * index)) & 0xffn));
}
