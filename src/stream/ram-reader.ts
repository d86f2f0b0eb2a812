import { RAM_FLAGS, XBZRLE_ENCODING } from '../uapi/qemu-stream.js';
import { hasGuestAddresses, isMappedRam } from './configuration-reader.js';
import { type Context, tell } from './context.js';
import { type Steps, u32At } from './cursor.js';
import { hex, quoted } from './error.js';
import type { BlockItem, PageEncoding, RamItem } from './item.js';
import { readMappedHeader, readMappedPages } from './mapped-ram-reader.js';

const EMPTY = new Uint8Array(0);
/** QEMU has one for each piece of memory of the machine: tens, with hot-plug hundreds. */
const MAX_BLOCKS = 16384;
/** A compressed page may be a little longer than the page. */
const COMPRESSION_ROOM = 1024;

const { ZERO, MEM_SIZE, PAGE, EOS, CONTINUE, XBZRLE, HOOK, COMPRESS_PAGE, MULTIFD_FLUSH } = RAM_FLAGS;

/** Reads the body of a RAM section: records, up to EOS. */
export function* readRamBody(x: Context): Steps {
  const { cursor: c } = x;
  for (;;) {
    if (c.available < 8) yield* c.need(8, 'a RAM record');
    const low = u32At(c.bytes, c.pos + 4);
    const flags = low & (x.pageSize - 1);
    const address = u32At(c.bytes, c.pos) * 0x1_0000_0000 + (low - flags);
    c.pos += 8;
    switch (flags & ~CONTINUE) {
      case ZERO:
        yield* readZero(x, address, flags);
        break;
      case PAGE:
        yield* readPage(x, address, flags, 'normal', x.pageSize);
        break;
      case XBZRLE:
        yield* readPage(x, address, flags, 'xbzrle', undefined);
        break;
      case COMPRESS_PAGE:
        yield* readPage(x, address, flags, 'compressed', undefined);
        break;
      default:
        if (flags === MEM_SIZE) yield* readBlocks(x, address);
        else if (bareRecord(x, address, flags) === 'EOS') return;
    }
  }
}

const BARE: Readonly<Record<number, RamItem['flag']>> = {
  [EOS]: 'EOS',
  [HOOK]: 'HOOK',
  [MULTIFD_FLUSH]: 'MULTIFD_FLUSH',
};

function bareRecord(x: Context, address: number, flags: number): RamItem['flag'] {
  const at = x.cursor.offset - 8;
  const flag = BARE[flags];
  if (flag === undefined || address !== 0) x.cursor.fail('a RAM record', hex(address + flags, 16), at);
  tell(x, { kind: 'ram', flag }, at);
  return flag;
}

/** The block of a record, and a check of the address in it. */
function* readBlockName(x: Context, address: number, flags: number): Steps<string> {
  const { cursor: c, ram } = x;
  const at = c.offset;
  if ((flags & CONTINUE) === 0) {
    const name = yield* c.counted('the name of a RAM block');
    ram.last = ram.blocks.get(name) ?? c.fail('the name of a RAM block', quoted(name), at);
  }
  const { last } = ram;
  if (last === undefined) return c.fail('a RAM record with a block before one without', 'none', at - 8);
  if (address >= last.usedLength) {
    c.fail(
      `an address in RAM block ${quoted(last.name)} below ${hex(last.usedLength)}`,
      hex(address),
      at - 8,
    );
  }
  return last.name;
}

function* readZero(x: Context, address: number, flags: number): Steps {
  const { cursor: c } = x;
  const name = yield* readBlockName(x, address, flags);
  if (c.available < 1) yield* c.need(1, 'the fill byte of a page');
  c.pos++;
  x.sink.page?.(name, address, 'zero', c.bytes.subarray(c.pos - 1, c.pos), 1);
}

function* readPage(
  x: Context,
  address: number,
  flags: number,
  encoding: PageEncoding,
  fixed: number | undefined,
): Steps {
  const { cursor: c, sink } = x;
  const block = (flags & CONTINUE) !== 0 ? x.ram.last : undefined;
  const known = block !== undefined && address < block.usedLength;
  const name = known ? block.name : yield* readBlockName(x, address, flags);
  const size = fixed ?? (yield* readEncodedSize(x, encoding));
  if (sink.page === undefined || sink.skipPages === true) {
    if (c.available >= size) c.pos += size;
    else yield* c.take(size, 'a page');
    sink.page?.(name, address, encoding, EMPTY, size);
    return;
  }
  if (c.available < size) yield* c.need(size, 'a page');
  c.pos += size;
  sink.page(name, address, encoding, c.bytes.subarray(c.pos - size, c.pos), size);
}

function* readEncodedSize(x: Context, encoding: PageEncoding): Steps<number> {
  const { cursor: c, pageSize } = x;
  const at = c.offset;
  if (encoding === 'xbzrle') {
    const kind = yield* c.u8('the encoding of a page');
    if (kind !== XBZRLE_ENCODING) c.fail(`encoding ${XBZRLE_ENCODING}`, `${kind}`, at);
    const size = yield* c.u16('the length of an encoded page');
    if (size > pageSize) c.fail(`an encoded page of at most ${pageSize} bytes`, `${size}`, at + 1);
    return size;
  }
  const size = yield* c.u32('the length of a compressed page');
  const most = pageSize + COMPRESSION_ROOM;
  if (size > most) c.fail(`a compressed page of at most ${most} bytes`, `${size}`, at);
  return size;
}

/** Reads the list of blocks. In a mapped-ram file their pages stand between its entries. */
function* readBlocks(x: Context, total: number): Steps {
  const { cursor: c, ram } = x;
  tell(x, { kind: 'mem-size', total }, c.offset - 8);
  for (let left = total; left > 0; ) {
    const at = c.offset;
    const name = yield* c.counted('the name of a RAM block');
    const lengthAt = c.offset;
    const usedLength = yield* c.size(`the length of RAM block ${quoted(name)}`);
    if (usedLength > left) {
      c.fail(
        `a length of RAM block ${quoted(name)} within the ${left} bytes left`,
        `${usedLength}`,
        lengthAt,
      );
    }
    left -= usedLength;
    if (ram.blocks.size >= MAX_BLOCKS) c.fail(`at most ${MAX_BLOCKS} RAM blocks`, 'another', at);
    ram.blocks.set(name, { name, usedLength });
    yield* readBlock(x, { kind: 'block', name, usedLength }, at);
  }
}

function* readBlock(x: Context, item: BlockItem, at: number): Steps {
  const { cursor: c } = x;
  if (yield* hasPageSize(x)) item.pageSize = yield* c.size('the page size of a RAM block');
  if (hasGuestAddresses(x)) item.guestAddress = yield* c.u64('the guest address of a RAM block');
  if (!isMappedRam(x)) return tell(x, item, at);
  item.mapped = yield* readMappedHeader(x, item.name, item.usedLength);
  tell(x, item, at);
  yield* readMappedPages(x, item, item.mapped);
}

/**
 * With post-copy, a block whose pages are not those of the host has their size behind its length. It is
 * one of the sizes that POSTCOPY_ADVISE has announced, which nothing else that may stand here can be:
 * a name begins with its length, and a record without address is smaller than any page.
 */
function* hasPageSize(x: Context): Steps<boolean> {
  const { cursor: c } = x;
  if (x.pageSizes === 0n || hasGuestAddresses(x)) return false;
  yield* c.need(8, 'a RAM record');
  const value = (BigInt(u32At(c.bytes, c.pos)) << 32n) | BigInt(u32At(c.bytes, c.pos + 4));
  return value >= 0x400n && (value & (value - 1n)) === 0n && (value & x.pageSizes) !== 0n;
}
