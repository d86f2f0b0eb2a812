import {
  CONFIGURATION_SUBSECTIONS,
  isTargetPageSize,
  STREAM_BYTES,
  STREAM_CAPABILITIES,
  TARGET_PAGE_SIZES,
} from '../uapi/qemu-stream.js';
import { type Context, tell } from './context.js';
import type { Cursor, Steps } from './cursor.js';
import { quoted } from './error.js';
import type { ConfigurationSubsection } from './item.js';

/** Longest name of a machine type, and most capabilities: both far above what QEMU has. */
const MAX_MACHINE = 1024;
const MAX_CAPABILITIES = 256;
const MAX_SUBSECTIONS = 16;

/** Reads the configuration section, its first byte included, and keeps what changes the reading of RAM. */
export function* readConfiguration(x: Context): Steps {
  const { cursor: c } = x;
  const start = c.offset;
  yield* c.u8('the configuration');
  const at = c.offset;
  const length = yield* c.u32('the length of the machine type');
  if (length > MAX_MACHINE) c.fail(`a machine type of at most ${MAX_MACHINE} bytes`, `${length}`, at);
  const machine = yield* c.text(length, 'the machine type');
  const subsections: ConfigurationSubsection[] = [];
  while (subsections.length < MAX_SUBSECTIONS) {
    yield* c.need(1, 'a section');
    if (c.bytes[c.pos] !== STREAM_BYTES.SUBSECTION) break;
    subsections.push(yield* readSubsection(x));
  }
  tell(x, { kind: 'configuration', machine, subsections }, start);
}

function* readSubsection(x: Context): Steps<ConfigurationSubsection> {
  const { cursor: c } = x;
  yield* c.u8('a subsection');
  const at = c.offset;
  const name = yield* c.counted('the name of a subsection');
  const version = yield* c.u32(`the version of ${quoted(name)}`);
  switch (name) {
    case CONFIGURATION_SUBSECTIONS.pageBits: {
      const bitsAt = c.offset;
      const targetPageBits = yield* c.u32('target-page-bits');
      const size = 2 ** targetPageBits;
      if (!isTargetPageSize(size)) {
        const { least, most } = TARGET_PAGE_SIZES;
        c.fail(`${Math.log2(least)} to ${Math.log2(most)} page bits`, `${targetPageBits}`, bitsAt);
      }
      x.pageSize = size;
      return { name, version, targetPageBits };
    }
    case CONFIGURATION_SUBSECTIONS.capabilities: {
      const capabilities = yield* readCapabilities(c);
      for (const each of capabilities) x.capabilities.add(each);
      return { name, version, capabilities };
    }
    case CONFIGURATION_SUBSECTIONS.uuid:
      return { name, version, uuid: yield* c.copy(16, 'the UUID') };
    default: {
      const known = x.description?.configuration?.subsections.find((each) => each.name === name);
      if (known === undefined) {
        return c.fail('a subsection of the configuration of known length', quoted(name), at);
      }
      return { name, version, data: yield* c.copy(known.size, quoted(name)) };
    }
  }
}

function* readCapabilities(c: Cursor): Steps<string[]> {
  const at = c.offset;
  const count = yield* c.u32('the number of capabilities');
  if (count > MAX_CAPABILITIES) c.fail(`at most ${MAX_CAPABILITIES} capabilities`, `${count}`, at);
  const names: string[] = [];
  while (names.length < count) names.push(yield* c.counted('the name of a capability'));
  return names;
}

/** Whether RAM blocks carry the guest addresses of `x-ignore-shared`. */
export function hasGuestAddresses(x: Context): boolean {
  return x.capabilities.has(STREAM_CAPABILITIES.ignoreShared);
}

/** Whether the pages stand at fixed places of a file. */
export function isMappedRam(x: Context): boolean {
  return x.capabilities.has(STREAM_CAPABILITIES.mappedRam);
}
