import fc from 'fast-check';
import type { VmField, VmFieldType, VmInteger, VmStateDescription } from '../../src/vmstate/index.js';
import { limits } from '../../src/vmstate/integers.js';

/** A description and an object that it fits. */
export interface AnyState {
  description: VmStateDescription;
  target: Record<string, unknown>;
}

/** A field's type with its value, and the field that counts it where there is one. */
interface AnyField {
  type: VmFieldType;
  value: unknown;
}

const INTEGER_TYPES: VmInteger[] = ['u8', 'u16', 'u32', 'u64', 's8', 's16', 's32', 's64'];

const integerType = fc.constantFrom(...INTEGER_TYPES);

function integer(type: VmInteger): fc.Arbitrary<number | bigint> {
  const [min, max] = limits(type);
  const any = fc.bigInt({ min, max });
  return type.endsWith('64') ? any : any.map(Number);
}

const array = (type: VmInteger, values: (number | bigint)[]): unknown =>
  type === 'u8' ? Uint8Array.from(values as number[]) : values;

const scalar: fc.Arbitrary<AnyField> = fc.oneof(
  fc.boolean().map((value) => ({ type: 'bool' as const, value })),
  integerType.chain((type) => integer(type).map((value) => ({ type, value }))),
  fc.uint8Array({ maxLength: 40 }).map((value) => ({ type: { buffer: value.length }, value })),
  integerType.chain((type) =>
    fc
      .array(integer(type), { maxLength: 5 })
      .map((values) => ({ type: { array: type, count: values.length }, value: array(type, values) })),
  ),
);

/** Its `varray` is set by whoever names the fields. */
const counted: fc.Arbitrary<AnyField> = integerType.chain((of) =>
  fc
    .array(integer(of), { maxLength: 5 })
    .map((values) => ({ type: { varray: '', of, most: 5 }, value: array(of, values) })),
);

function struct(depth: number): fc.Arbitrary<AnyField> {
  const one = anyState(depth - 1, `inner${depth}`).map(({ description, target }) => ({
    type: { struct: description },
    value: target,
  }));
  // All elements have one description; what differs are their values, so they are taken from one.
  const some = fc
    .record({ state: anyState(depth - 1, `each${depth}`), count: fc.nat(3), varied: fc.boolean() })
    .map(({ state: { description, target }, count, varied }) => ({
      type: varied ? { structs: description, varray: '', most: 3 } : { structs: description, count },
      value: Array.from({ length: count }, () => structuredClone(target)),
    }));
  return fc.oneof(one, some);
}

/** Begins each struct: one without a byte of its own could not be told from the subsections of another. */
const MARK: AnyField = { type: 'u8', value: 7 };

/** Any state. Subsections are needed or not by a coin that was thrown when they were made. */
export function anyState(depth = 2, name = 'state'): fc.Arbitrary<AnyState> {
  const field = depth > 0 ? fc.oneof(scalar, scalar, counted, struct(depth)) : fc.oneof(scalar, counted);
  return fc
    .record({
      fields: fc.array(field, { maxLength: 5 }),
      parts: fc.array(fc.tuple(fc.boolean(), anyParts(depth)), { maxLength: depth > 0 ? 2 : 0 }),
      version: fc.integer({ min: 0, max: 9 }),
    })
    .map(({ fields, parts, version }) => build(name, version, [MARK, ...fields], parts));
}

const anyParts = (depth: number) =>
  fc.array(depth > 1 ? fc.oneof(scalar, counted) : scalar, { maxLength: 3 });

function build(name: string, version: number, fields: AnyField[], parts: [boolean, AnyField[]][]): AnyState {
  const target: Record<string, unknown> = {};
  const subsections = parts.map(([needed, own], index): VmStateDescription => {
    const part = `${name}/part${index}`;
    return { ...named(part, 1, own, target, `p${index}_`), needed: () => needed };
  });
  const description = {
    ...named(name, version, fields, target, 'f'),
    ...(parts.length > 0 ? { subsections } : {}),
  };
  return { description, target };
}

function named(
  name: string,
  version: number,
  fields: AnyField[],
  target: Record<string, unknown>,
  prefix: string,
): VmStateDescription {
  const out: VmField[] = [];
  for (const [index, { type, value }] of fields.entries()) {
    const own = `${prefix}${index}`;
    target[own] = value;
    if (typeof type === 'object' && 'varray' in type) {
      const count = `${own}_count`;
      target[count] = (value as ArrayLike<unknown>).length;
      out.push({ name: count, type: 'u16' }, { name: own, type: { ...type, varray: count } });
    } else out.push({ name: own, type });
  }
  return { name, version, minimumVersion: 0, fields: out };
}

/** The values that are sent: those of subsections that are not needed are not there. */
export function sent({ description, target }: AnyState): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  const collect = (it: VmStateDescription) => {
    for (const { name, type } of it.fields) {
      const value = target[name];
      if (typeof type === 'object' && 'struct' in type) {
        out[name] = sent({ description: type.struct, target: value as Record<string, unknown> });
      } else if (typeof type === 'object' && 'structs' in type) {
        out[name] = (value as Record<string, unknown>[]).map((each) =>
          sent({ description: type.structs, target: each }),
        );
      } else out[name] = value;
    }
    for (const part of it.subsections ?? []) if (part.needed?.(target) !== false) collect(part);
  };
  collect(description);
  return out;
}
