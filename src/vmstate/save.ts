import { STREAM_BYTES } from '../uapi/qemu-stream.js';
import { checkDescription } from './check.js';
import type { VmField, VmFieldType, VmInteger, VmStateDescription } from './description.js';
import { INTEGERS, limits } from './integers.js';

/**
 * A state as bytes: the fields of the present version, then the subsections that the target needs.
 * Calls `preSave` first.
 * @throws RangeError that names the field, when a value does not fit it; TypeError when the description makes
 * no sense
 */
export function saveVmState(description: VmStateDescription, target: object): Uint8Array {
  checkDescription(description);
  const out = new Bytes();
  writeState(out, description, target, description.name);
  return out.taken();
}

function writeState(out: Bytes, description: VmStateDescription, target: object, path: string): void {
  description.preSave?.(target);
  for (const field of description.fields) writeField(out, field, target, `${path}.${field.name}`);
  for (const each of neededSubsections(description, target)) {
    out.integer('u8', STREAM_BYTES.SUBSECTION, path);
    out.integer('u8', each.name.length, path);
    for (let index = 0; index < each.name.length; index++) {
      out.integer('u8', each.name.charCodeAt(index), `the name of ${each.name}`);
    }
    out.integer('u32', each.version, path);
    writeState(out, each, target, each.name);
  }
}

/** The subsections that are sent for this target. */
export function neededSubsections(
  { subsections = [] }: VmStateDescription,
  target: object,
): VmStateDescription[] {
  return subsections.filter(({ needed }) => needed === undefined || needed(target));
}

function writeField(out: Bytes, { name, type }: VmField, target: object, path: string): void {
  const value = (target as Record<string, unknown>)[name];
  if (type === 'bool') {
    if (typeof value !== 'boolean') refuse(path, 'true or false', value);
    out.integer('u8', value ? 1 : 0, path);
  } else if (typeof type === 'string') {
    out.integer(type, value, path);
  } else if ('buffer' in type) {
    if (!(value instanceof Uint8Array) || value.length !== type.buffer) {
      refuse(path, `${type.buffer} bytes`, value);
    }
    out.bytes(value);
  } else if ('struct' in type) {
    writeState(out, type.struct, objectAt(value, path), path);
  } else {
    const elements = elementsOf(type, value, target, path);
    for (let index = 0; index < elements.length; index++) {
      const each = `${path}[${index}]`;
      if ('structs' in type) writeState(out, type.structs, objectAt(elements[index], each), each);
      else out.integer('varray' in type ? type.of : type.array, elements[index], each);
    }
  }
}

type ArrayType = Extract<VmFieldType, { count: number } | { varray: string }>;

/** The elements of an array, of which there must be as many as the description or the counting field says. */
export function elementsOf(
  type: ArrayType,
  value: unknown,
  target: object,
  path: string,
): ArrayLike<unknown> {
  const count = 'varray' in type ? (target as Record<string, unknown>)[type.varray] : type.count;
  const expected = `${String(count)} elements${'varray' in type ? `, as ${type.varray} says` : ''}`;
  const elements =
    Array.isArray(value) || ArrayBuffer.isView(value) ? (value as unknown as unknown[]) : undefined;
  if (elements === undefined || elements.length !== count) refuse(path, expected, value);
  if ('varray' in type && count > type.most) refuse(path, `at most ${type.most} elements`, value);
  return elements;
}

/** The object that a struct is. */
export function objectAt(value: unknown, path: string): object {
  if (typeof value === 'object' && value !== null) return value;
  return refuse(path, 'an object', value);
}

function refuse(path: string, expected: string, value: unknown): never {
  const length = (value as { length?: unknown } | null | undefined)?.length;
  const got = typeof length === 'number' ? `${length} of them` : String(value);
  throw new RangeError(`${path}: expected ${expected}, got ${got}`);
}

/** Bytes that grow. */
class Bytes {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  integer(type: VmInteger, value: unknown, path: string): void {
    const [low, high] = limits(type);
    const whole = typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value));
    const big = whole ? BigInt(value as number | bigint) : undefined;
    if (big === undefined || big < low || big > high)
      refuse(path, `an integer from ${low} to ${high}`, value);
    const { size } = INTEGERS[type];
    const at = this.#room(size);
    if (size === 8) this.#view.setBigUint64(at, BigInt.asUintN(64, big));
    else if (size === 4) this.#view.setUint32(at, Number(big));
    else if (size === 2) this.#view.setUint16(at, Number(big));
    else this.#view.setUint8(at, Number(big));
  }

  bytes(bytes: Uint8Array): void {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
  }

  taken(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #room(size: number): number {
    const at = this.#length;
    this.#length += size;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}
