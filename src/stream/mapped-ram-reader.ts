import {
  isTargetPageSize,
  MAPPED_RAM_VERSION,
  mappedRamBitmapBytes,
  TARGET_PAGE_SIZES,
} from '../uapi/qemu-stream.js';
import type { Context } from './context.js';
import type { Steps } from './cursor.js';
import { quoted } from './error.js';
import type { BlockItem, MappedBlock } from './item.js';

const EMPTY = new Uint8Array(0);

/** Reads the header of a block in a mapped-ram file. Its offsets are those of the file. */
export function* readMappedHeader(x: Context, name: string, usedLength: number): Steps<MappedBlock> {
  const { cursor: c } = x;
  const at = c.offset;
  const version = yield* c.u32('a mapped-ram header');
  if (version !== MAPPED_RAM_VERSION) {
    c.fail(`version ${MAPPED_RAM_VERSION} of the mapped-ram header`, `${version}`, at);
  }
  const sizeAt = c.offset;
  const pageSize = yield* c.size('the page size of a mapped-ram header');
  if (!isTargetPageSize(pageSize)) {
    const { least, most } = TARGET_PAGE_SIZES;
    c.fail(`a page size from ${least} to ${most}`, `${pageSize}`, sizeAt);
  }
  const bitmapOffset = yield* c.size('the bitmap offset of a mapped-ram header');
  const pagesOffset = yield* c.size('the pages offset of a mapped-ram header');
  if (bitmapOffset === 0 && pagesOffset === 0) return { pageSize, bitmapOffset, pagesOffset };
  if (bitmapOffset < c.offset) {
    c.fail(`a bitmap of block ${quoted(name)} behind its header`, `offset ${bitmapOffset}`, c.offset - 16);
  }
  const end = bitmapOffset + mappedRamBitmapBytes(usedLength, pageSize);
  if (pagesOffset < end) {
    c.fail(`pages of block ${quoted(name)} at ${end} or behind`, `offset ${pagesOffset}`, c.offset - 8);
  }
  return { pageSize, bitmapOffset, pagesOffset };
}

/** Reads bitmap and pages of a block, from behind its header to the place where the next block begins. */
export function* readMappedPages(x: Context, block: BlockItem, mapped: MappedBlock): Steps {
  const { cursor: c, sink } = x;
  const { pageSize, bitmapOffset, pagesOffset } = mapped;
  if (pagesOffset === 0) return;
  const what = `the bitmap of RAM block ${quoted(block.name)}`;
  yield* c.take(bitmapOffset - c.offset, `the place before ${what}`);
  const length = mappedRamBitmapBytes(block.usedLength, pageSize);
  const held = x.held;
  const bitmap = yield* c.copy(length, what, (bytes) => {
    x.held = held + bytes;
  });
  sink.data?.(bitmap);
  yield* c.take(pagesOffset - c.offset, `the place behind ${what}`);
  yield* readPages(x, block, pageSize, bitmap);
  x.held = held;
}

function* readPages(x: Context, block: BlockItem, pageSize: number, bitmap: Uint8Array): Steps {
  const { cursor: c, sink } = x;
  const what = `pages of RAM block ${quoted(block.name)}`;
  const start = c.offset;
  const bits = Math.ceil(block.usedLength / pageSize);
  const wanted = sink.page !== undefined && sink.skipPages !== true;
  for (let index = 0; index < bits; index++) {
    const byte = bitmap[index >> 3]!;
    if (byte === 0) {
      index |= 7;
      continue;
    }
    if (((byte >> (index & 7)) & 1) === 0) continue;
    const address = index * pageSize;
    const size = Math.min(pageSize, block.usedLength - address);
    if (!wanted) {
      sink.page?.(block.name, address, 'mapped', EMPTY, size);
      continue;
    }
    yield* c.take(start + address - c.offset, what);
    if (c.available < size) yield* c.need(size, what);
    c.pos += size;
    sink.page?.(block.name, address, 'mapped', c.bytes.subarray(c.pos - size, c.pos), size);
  }
  yield* c.take(start + block.usedLength - c.offset, what);
}
