import { RAM_SECTION, SECTION_TYPES, type SectionType, STREAM_BYTES } from '../uapi/qemu-stream.js';
import { bodyUpToFooter } from './body-end.js';
import { type Context, handOut, runParser, tell } from './context.js';
import type { Steps } from './cursor.js';
import { hex, quoted } from './error.js';
import type { SectionItem } from './item.js';
import { readRamBody } from './ram-reader.js';
import { isVfio, readVfioBody } from './vfio-reader.js';

/** Most live states that one stream may have. */
const MAX_LIVE = 4096;

/** The kind of section that begins with this byte, or `undefined`. */
export function sectionType(byte: number): SectionType | undefined {
  return SECTION_TYPES.find((type) => STREAM_BYTES[type] === byte);
}

/** Reads a section from behind its first byte: head, body and footer. */
export function* readSection(x: Context, type: SectionType): Steps {
  const { cursor: c } = x;
  const start = c.offset - 1;
  c.where = `in a ${type} section at ${start}`;
  const item = type === 'START' || type === 'FULL' ? yield* readHead(x, type) : yield* readReference(x, type);
  c.where = `in the ${type} section ${item.id} ${quoted(item.idstr)} at ${start}`;
  tell(x, item, start);
  const size = type === 'FULL' ? x.sizes?.take(item.idstr, item.instance) : undefined;
  const body = c.offset;
  if (size !== undefined && body + size > c.limit)
    c.fail(`a body of ${size} bytes`, 'the end of the package');
  yield* readBody(x, item, size);
  if (size !== undefined && c.offset !== body + size) {
    c.fail(`a body of ${size} bytes, as the vmdescription has it`, `${c.offset - body} bytes`);
  }
  yield* readFooter(x, item.id);
  c.where = '';
}

function* readHead(x: Context, type: 'START' | 'FULL'): Steps<SectionItem> {
  const { cursor: c, sections } = x;
  const at = c.offset;
  const id = yield* c.u32('a section id');
  const idstr = yield* c.counted("a section's idstr");
  const instance = yield* c.u32("a section's instance");
  const version = yield* c.u32("a section's version");
  const item: SectionItem = { kind: 'section', type, id, idstr, instance, version };
  const known = sections.get(id);
  if (known !== undefined && (known.idstr !== idstr || known.instance !== instance)) {
    c.fail(`section ${id} to be ${quoted(known.idstr)}, as before`, quoted(idstr), at);
  }
  if (type === 'START') {
    if (sections.size >= MAX_LIVE) c.fail(`at most ${MAX_LIVE} live states`, 'another', at);
    sections.set(id, item);
  }
  return item;
}

function* readReference(x: Context, type: 'PART' | 'END'): Steps<SectionItem> {
  const { cursor: c, sections } = x;
  const at = c.offset;
  const id = yield* c.u32('a section id');
  const start = sections.get(id);
  if (start === undefined) return c.fail('the id of a section that has begun', `${id}`, at);
  return { ...start, type };
}

function* readBody(x: Context, item: SectionItem, size: number | undefined): Steps {
  const { cursor: c } = x;
  if (item.type !== 'FULL' && item.idstr === RAM_SECTION.idstr) {
    if (item.version !== RAM_SECTION.version) {
      c.fail(`version ${RAM_SECTION.version} of the RAM section`, `${item.version}`);
    }
    return yield* readRamBody(x);
  }
  if (isVfio(item.idstr)) return yield* readVfioBody(x, item, size);
  const what = `the state of ${quoted(item.idstr)}`;
  const parser = x.parsers.bodyParser?.(item);
  tell(x, { kind: 'body' }, c.offset);
  if (parser !== undefined) return yield* runParser(x, parser, size, what);
  if (size === undefined) yield* bodyUpToFooter(x, item.id, [], what);
  else yield* handOut(x, size, what);
}

function* readFooter(x: Context, id: number): Steps {
  const { cursor: c } = x;
  const at = c.offset;
  if (c.available < 1 && c.offset < c.limit) yield* c.need(1, `the footer of section ${id}`);
  const byte = c.available > 0 ? c.bytes[c.pos]! : undefined;
  if (x.footers === undefined) x.footers = byte === STREAM_BYTES.FOOTER || (byte ?? 0) > STREAM_BYTES.COMMAND;
  if (x.footers) {
    const expected = `the footer of section ${id}`;
    if (byte !== STREAM_BYTES.FOOTER) {
      c.fail(expected, byte === undefined ? 'the end of the package' : hex(byte));
    }
    yield* c.need(5, expected);
    c.pos++;
    const got = yield* c.u32(expected);
    if (got !== id) c.fail(expected, `that of ${got}`, at);
  }
  tell(x, { kind: 'section-end', id, footer: x.footers }, at);
}
