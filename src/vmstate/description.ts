/** Types and widths of fields; integers are big-endian. */
export type VmFieldType =
  | 'bool'
  | 'u8'
  | 'u16'
  | 'u32'
  | 'u64'
  | 's32'
  | 's64'
  | { readonly buffer: number }
  | { readonly varray: string; readonly of: 'u8' | 'u16' | 'u32' | 'u64'; readonly most: number }
  | { readonly struct: VmStateDescription }
  | { readonly structs: VmStateDescription; readonly count: number };

/** One field of a description. */
export interface VmField {
  readonly name: string;
  readonly type: VmFieldType;
  /** First version of the description that has the field; default the minimum. */
  readonly since?: number;
}

/** How a state is laid out in a stream. Named after QEMU's VMStateDescription. */
export interface VmStateDescription {
  readonly name: string;
  readonly version: number;
  /** The oldest version that can be loaded. */
  readonly minimumVersion: number;
  readonly fields: readonly VmField[];
  readonly subsections?: readonly VmStateDescription[];
  /** Of a subsection: whether this object needs it. Absent: always. */
  readonly needed?: (target: object) => boolean;
  readonly preSave?: (target: object) => void;
  /** @throws Error when what was loaded cannot be */
  readonly postLoad?: (target: object, version: number) => void;
}
