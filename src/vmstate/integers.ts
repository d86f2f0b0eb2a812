import type { Cursor, Steps } from '../stream/index.js';
import type { VmInteger } from './description.js';

interface IntegerType {
  /** Bytes. */
  readonly size: 1 | 2 | 4 | 8;
  readonly signed: boolean;
  /** As QEMU's vmdescription spells it. */
  readonly json: string;
}

export const INTEGERS: Readonly<Record<VmInteger, IntegerType>> = {
  u8: { size: 1, signed: false, json: 'uint8' },
  u16: { size: 2, signed: false, json: 'uint16' },
  u32: { size: 4, signed: false, json: 'uint32' },
  u64: { size: 8, signed: false, json: 'uint64' },
  s8: { size: 1, signed: true, json: 'int8' },
  s16: { size: 2, signed: true, json: 'int16' },
  s32: { size: 4, signed: true, json: 'int32' },
  s64: { size: 8, signed: true, json: 'int64' },
};

/** Least and greatest value of an integer type. */
export function limits(type: VmInteger): readonly [bigint, bigint] {
  const { size, signed } = INTEGERS[type];
  const bits = BigInt(8 * size);
  return signed ? [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n] : [0n, (1n << bits) - 1n];
}

/** The next integer of a stream. */
export function* readInteger(c: Cursor, type: VmInteger, what: string): Steps<number | bigint> {
  const { size, signed } = INTEGERS[type];
  if (size === 8) return yield* readWide(c, signed, what);
  const value = size === 1 ? yield* c.u8(what) : size === 2 ? yield* c.u16(what) : yield* c.u32(what);
  const spare = 32 - 8 * size;
  return signed ? (value << spare) >> spare : value;
}

function* readWide(c: Cursor, signed: boolean, what: string): Steps<bigint> {
  const value = yield* c.u64(what);
  return signed ? BigInt.asIntN(64, value) : value;
}
