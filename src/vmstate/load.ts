import type { BodyParser, Cursor, Steps } from '../stream/index.js';
import { STREAM_BYTES } from '../uapi/qemu-stream.js';
import { checkDescription, sinceOf } from './check.js';
import { type Loaded, type LoadedValue, takeOver } from './commit.js';
import type { VmField, VmInteger, VmStateDescription } from './description.js';
import { VmStateError } from './error.js';
import { readInteger } from './integers.js';

/**
 * The parser of a state, for a body of a section or the vmstate of a VFIO device. It reads fields of the
 * given version and the subsections behind them, up to the first byte that belongs to neither. The target
 * is left alone until all was read and checked: then it gets the values, and `postLoad` is called. Fields
 * that the version does not have, and subsections that were not sent, keep what they are.
 * @param target the object whose properties are set; structs are set in the objects that it has
 * @param version as the section's head tells it
 * @throws TypeError when the description makes no sense. When it reads: StreamError where the bytes are
 * damaged; VmStateError for a version or a subsection that is not known here, and for what `postLoad` refuses
 */
export function loadVmState(description: VmStateDescription, target: object, version: number): BodyParser {
  checkDescription(description);
  return function* (c): Steps {
    const loaded = yield* readState(c, description, version, description.name);
    takeOver(target, loaded, c.where);
  };
}

function* readState(
  c: Cursor,
  description: VmStateDescription,
  version: number,
  path: string,
): Steps<Loaded> {
  checkVersion(c, description, version, path);
  const values = new Map<VmField, LoadedValue>();
  for (const field of description.fields) {
    if (sinceOf(description, field) > version) continue;
    values.set(field, yield* readField(c, field, values, `${path}.${field.name}`));
  }
  const subsections = yield* readSubsections(c, description);
  return { description, version, path, values, subsections };
}

function checkVersion(c: Cursor, description: VmStateDescription, version: number, path: string): void {
  const { name, minimumVersion, version: own } = description;
  if (version >= minimumVersion && version <= own) return;
  const here = minimumVersion === own ? `only ${own} is` : `${minimumVersion} to ${own} are`;
  const message = `version ${version} of ${name} is not supported here (${here})`;
  throw new VmStateError(path, message, { where: c.where });
}

type Values = ReadonlyMap<VmField, LoadedValue>;

function* readField(c: Cursor, { type }: VmField, before: Values, path: string): Steps<LoadedValue> {
  if (type === 'bool') return yield* readBool(c, path);
  if (typeof type === 'string') return yield* readInteger(c, type, path);
  if ('buffer' in type) return yield* c.copy(type.buffer, path);
  if ('struct' in type) return yield* readState(c, type.struct, type.struct.version, path);
  const count = 'varray' in type ? readCount(c, type.varray, type.most, before, path) : type.count;
  if ('structs' in type) {
    const structs: Loaded[] = [];
    while (structs.length < count) {
      structs.push(yield* readState(c, type.structs, type.structs.version, `${path}[${structs.length}]`));
    }
    return structs;
  }
  return yield* readIntegers(c, 'varray' in type ? type.of : type.array, count, path);
}

function* readBool(c: Cursor, path: string): Steps<boolean> {
  const at = c.offset;
  const value = yield* c.u8(path);
  if (value > 1) c.fail(`0 or 1 as ${path}`, `${value}`, at);
  return value === 1;
}

/** The length of an array, from the field that counts it. */
function readCount(c: Cursor, name: string, most: number, before: Values, path: string): number {
  let count = 0;
  for (const [field, value] of before) if (field.name === name) count = Number(value);
  if (count > most) c.fail(`at most ${most} elements of ${path}`, `${count}`);
  return count;
}

/** Memory grows only as the bytes come. */
function* readIntegers(c: Cursor, type: VmInteger, count: number, path: string): Steps<LoadedValue> {
  if (type === 'u8') return yield* c.copy(count, path);
  const integers: (number | bigint)[] = [];
  while (integers.length < count) integers.push(yield* readInteger(c, type, path));
  return integers;
}

function* readSubsections(c: Cursor, description: VmStateDescription): Steps<Loaded[]> {
  const subsections: Loaded[] = [];
  for (;;) {
    const name = yield* peekSubsection(c, description.name);
    if (name === undefined) return subsections;
    const known = description.subsections?.find((each) => each.name === name);
    if (known === undefined) refuseSubsection(c, description, name);
    if (subsections.some((each) => each.description === known)) c.fail(`${name} once`, 'it again');
    c.pos += 2 + name.length;
    const version = yield* c.u32(`the version of ${name}`);
    subsections.push(yield* readState(c, known, version, name));
  }
}

/** A subsection begins with a byte that anything may begin with; only the name says that it is one. */
function* peekSubsection(c: Cursor, parent: string): Steps<string | undefined> {
  if (c.available < 1 && !(yield* c.has(1))) return undefined;
  if (c.bytes[c.pos] !== STREAM_BYTES.SUBSECTION || !(yield* c.has(2))) return undefined;
  const length = c.bytes[c.pos + 1]!;
  if (length <= parent.length || !(yield* c.has(2 + length))) return undefined;
  const name = String.fromCharCode(...c.bytes.subarray(c.pos + 2, c.pos + 2 + length));
  return name.startsWith(`${parent}/`) ? name : undefined;
}

function refuseSubsection(c: Cursor, { name, subsections = [] }: VmStateDescription, got: string): never {
  const known = subsections.map((each) => each.name).join(', ');
  const here = known === '' ? `${name} has none here` : `here ${name} has ${known}`;
  const message = `the source needs the subsection ${JSON.stringify(got)}, which is not known: ${here}`;
  throw new VmStateError(name, message, { where: c.where });
}
