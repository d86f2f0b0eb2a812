/** Integers of a state; big-endian in the stream. */
export type VmInteger = 'u8' | 'u16' | 'u32' | 'u64' | 's8' | 's16' | 's32' | 's64';

/**
 * Type and width of a field, with what it holds in JavaScript: `number` for integers up to 32 bits, `bigint`
 * for those of 64, `boolean`, a `Uint8Array` for a buffer and for `u8`s, arrays, and objects for structs. Where
 * the target has an array or a typed array (`Uint32Array`) before, it gets a new one of the same kind.
 *
 * The length of `varray` is not in its own bytes: an earlier field of the same description, whose name it
 * gives, holds it; `most` bounds what a stream may ask for.
 */
export type VmFieldType =
  | 'bool'
  | VmInteger
  | { readonly buffer: number }
  | { readonly array: VmInteger; readonly count: number }
  | { readonly varray: string; readonly of: VmInteger; readonly most: number }
  | { readonly struct: VmStateDescription }
  | { readonly structs: VmStateDescription; readonly count: number }
  | { readonly structs: VmStateDescription; readonly varray: string; readonly most: number };

/** One field of a description. */
export interface VmField {
  readonly name: string;
  readonly type: VmFieldType;
  /** First version of the description that has the field; default the minimum. */
  readonly since?: number;
}

/**
 * How a state is laid out in a stream. Named after QEMU's VMStateDescription, and to the same bytes.
 *
 * What changes later has two ways. A field with `since` raises `version`: a newer destination loads both, an
 * older one refuses. A subsection that is sent only when it is `needed` raises nothing: an older destination
 * takes what does without it. The version of a struct inside a field does not stand in the stream, so a struct
 * grows by subsections only.
 */
export interface VmStateDescription {
  readonly name: string;
  readonly version: number;
  /** The oldest version that can be loaded. */
  readonly minimumVersion: number;
  readonly fields: readonly VmField[];
  /** Each is named `<name of this>/<own name>`; its fields are the same target's. */
  readonly subsections?: readonly VmStateDescription[];
  /** Of a subsection: whether this object needs it. Absent: always. */
  readonly needed?: (target: object) => boolean;
  /** Called before the fields are saved, to bring them up to date. */
  readonly preSave?: (target: object) => void;
  /**
   * Called when all fields and subsections have their new values, those of structs and subsections first.
   * @param version that was loaded; of a struct in a field its present one
   * @throws Error when what was loaded cannot be
   */
  readonly postLoad?: (target: object, version: number) => void;
}
