import type { VfioStreamTag } from '../uapi/qemu.js';
import type { SectionType } from '../uapi/qemu-stream.js';
import type { CommandItem } from './command.js';
import type { VmDescription } from './description.js';

/**
 * What a stream consists of, in the order of its bytes. `StreamReader` gives these items to a sink,
 * and `StreamWriter` is such a sink: whatever one reads, the other writes back.
 * Texts of the stream are Latin-1, so that no byte of a name is lost.
 */
export type StreamItem =
  | HeaderItem
  | ConfigurationItem
  | SectionItem
  | SectionEndItem
  | MemSizeItem
  | BlockItem
  | RamItem
  | VfioItem
  | BodyItem
  | CommandItem
  | PackageEndItem
  | EofItem
  | DescriptionItem
  | TrailingItem;

export interface HeaderItem {
  kind: 'header';
  version: number;
}

/** Machine type and what source and destination must have in common. */
export interface ConfigurationItem {
  kind: 'configuration';
  machine: string;
  subsections: ConfigurationSubsection[];
}

/** A known subsection has the field of its own; any other its bytes. */
export interface ConfigurationSubsection {
  name: string;
  version: number;
  targetPageBits?: number;
  capabilities?: string[];
  uuid?: Uint8Array;
  data?: Uint8Array;
}

/** A section begins. For PART and END, idstr, instance and version are those of their START. */
export interface SectionItem {
  kind: 'section';
  type: SectionType;
  id: number;
  idstr: string;
  instance: number;
  version: number;
}

export interface SectionEndItem {
  kind: 'section-end';
  id: number;
  /** Whether a footer closes the section: machine types from 2.4 on have it. */
  footer: boolean;
}

/** The list of RAM blocks begins; the lengths of the blocks that follow make up `total`. */
export interface MemSizeItem {
  kind: 'mem-size';
  total: number;
}

/**
 * One RAM block. With `mapped`, the block's bitmap follows as data, unless it has no pages in the file,
 * and then a page of the encoding `mapped` for each bit.
 */
export interface BlockItem {
  kind: 'block';
  name: string;
  usedLength: number;
  /** Host page size; stands in streams with post-copy where it differs from that of other blocks. */
  pageSize?: number;
  /** Stands in streams with `x-ignore-shared`. */
  guestAddress?: bigint;
  mapped?: MappedBlock;
}

/** A block of RAM in a mapped-ram file: where its bitmap and its pages stand. */
export interface MappedBlock {
  pageSize: number;
  /** Offsets in the file; both 0 when the block is shared memory and left out. */
  bitmapOffset: number;
  pagesOffset: number;
}

/** A RAM record that carries nothing. EOS ends the section's body. */
export interface RamItem {
  kind: 'ram';
  flag: 'EOS' | 'HOOK' | 'MULTIFD_FLUSH';
}

/**
 * A record of a VFIO section. DEV_DATA_STATE is followed by `size` bytes of data, DEV_CONFIG_STATE by the
 * vmstate of the device as data, up to END_OF_STATE.
 */
export interface VfioItem {
  kind: 'vfio';
  tag: VfioStreamTag;
  size?: number;
}

/** The body of a section that is not looked into; its bytes follow as data. */
export interface BodyItem {
  kind: 'body';
}

/** The nested stream of PACKAGED is complete. */
export interface PackageEndItem {
  kind: 'package-end';
}

export interface EofItem {
  kind: 'eof';
}

/** The vmdescription: what the FULL sections hold. */
export interface DescriptionItem {
  kind: 'description';
  /** The JSON as it stands in the stream. */
  text: string;
  description: VmDescription;
}

/** So many bytes stand after the end of the stream; told when the input ends. */
export interface TrailingItem {
  kind: 'trailing';
  size: number;
}

/** How a page of RAM is sent. The data of `zero` is its fill byte, those of `xbzrle` a delta. */
export type PageEncoding = 'normal' | 'zero' | 'xbzrle' | 'compressed' | 'mapped';

/** Takes what a stream consists of. Bytes are valid during the call only. */
export interface StreamSink {
  /**
   * An item.
   * @param offset of its first byte in the stream
   * @param size bytes that it takes itself, without the data that follow
   */
  item(item: StreamItem, offset: number, size: number): unknown;
  /**
   * One page of RAM.
   * @param size bytes of its data in the stream, also where `skipPages` leaves the data out
   */
  page?(block: string, address: number, encoding: PageEncoding, data: Uint8Array, size: number): unknown;
  /** A piece of the data that the last item has; how data are cut into pieces is of no meaning. */
  data?(piece: Uint8Array): unknown;
  /** Pages come without data, which makes reading faster, and lets the caller of the reader leave out holes. */
  readonly skipPages?: boolean;
}
