import type { VfioStreamTag } from '../uapi/qemu.js';
import type { SectionType } from '../uapi/qemu-stream.js';
import type { DeviceDescription } from './description.js';

/** Name and version of the JSON that `stopcopy inspect --json` prints. */
export const INSPECT_SCHEMA = 'stopcopy-inspect-1';

/** What a stream, or one multifd channel, consists of. */
export interface InspectReport {
  schema: typeof INSPECT_SCHEMA;
  format: 'migration-stream' | 'multifd-channel';
  /** The stream has its end, and nothing before it is damaged. */
  complete: boolean;
  /** Where it begins in its file. */
  offset: number;
  /** Bytes that were read and understood. */
  bytes: number;
  pageSize: number | null;
  configuration: ConfigurationReport | null;
  /** In the order of the stream. */
  sections: SectionReport[];
  /** Sections beyond the bound of the list; totals count them. */
  sectionsOmitted: number;
  commands: CommandReport[];
  commandsOmitted: number;
  ram: RamReport;
  /** Devices with VFIO records, or VFIO packets on a multifd channel. */
  vfio: VfioReport[];
  /** Bytes of all sections by what they belong to. */
  totals: TotalReport[];
  eof: { offset: number } | null;
  description: DescriptionReport | null;
  multifd: MultifdReport | null;
  /** Bytes behind the end. */
  trailing: number;
  remarks: string[];
  /** Where the stream is damaged or cut; absent otherwise. */
  error?: { offset: number; message: string };
}

export interface ConfigurationReport {
  offset: number;
  size: number;
  machine: string;
  /** With their values as text. */
  subsections: { name: string; version: number; value: string }[];
}

export interface SectionReport {
  type: SectionType;
  idstr: string;
  instance: number;
  version: number;
  /** Section id, by which PART, END and footers refer to their START. */
  id: number;
  /** Offset of the first byte. */
  offset: number;
  /** Bytes with head and footer. */
  size: number;
  bodySize: number;
  /** Its end was reached. */
  complete: boolean;
  /** VFIO records, at most the first few. */
  records?: { tag: VfioStreamTag; size?: number }[];
  recordsOmitted?: number;
}

export interface CommandReport {
  name: string;
  offset: number;
  /** Its payload in words; empty where there is none. */
  value: string;
}

/** How often pages were sent: one that was sent twice counts twice. In a mapped-ram file each stands once. */
export interface PageCounts {
  /** Pages sent with all their bytes: QEMU's `normal`. */
  pages: number;
  /** QEMU's `duplicate`. A mapped-ram file does not tell them. */
  zeroPages: number;
  /** Pages sent as XBZRLE or compressed data. */
  encodedPages: number;
  /** Bytes of page data, without the heads of the records. */
  bytes: number;
}

export interface RamReport extends PageCounts {
  blocks: BlockReport[];
}

export interface BlockReport extends PageCounts {
  name: string;
  /** Bytes; null on a multifd channel, which does not tell it. */
  usedLength: number | null;
}

export interface VfioReport {
  idstr: string;
  instance: number;
  /** Tagged records, or packets. */
  records: number;
  /** Device data: DEV_DATA_STATE, or packets without config state; no heads. */
  dataBytes: number;
  /** Config state, from behind DEV_CONFIG_STATE up to END_OF_STATE. */
  configBytes: number;
  /** Vendor and device of the PCI config space; null when there was none. */
  pci: string | null;
  tags: Partial<Record<VfioStreamTag, number>>;
}

export interface TotalReport {
  idstr: string;
  instance: number;
  sections: number;
  bytes: number;
}

export interface DescriptionReport {
  offset: number;
  size: number;
  pageSize: number | null;
  devices: DeviceDescription[];
}

export interface MultifdReport {
  channel: number;
  uuid: string;
  packets: number;
  /** Packets with the SYNC flag. */
  syncs: number;
}
