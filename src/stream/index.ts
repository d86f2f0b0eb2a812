/** QEMU's migration stream: reader and writer. */
export { Checksum, checksumOf } from './checksum.js';
export type { CommandItem, DiscardRange } from './command.js';
export type { BodyParsers } from './context.js';
export { type BodyParser, Cursor, type Steps } from './cursor.js';
export {
  DESCRIPTION_TAIL,
  type DeviceDescription,
  findDescription,
  parseDescription,
  type SubsectionDescription,
  type VmDescription,
} from './description.js';
export {
  type ChannelDigest,
  DIGEST_SECTION,
  digestParser,
  encodeDigest,
  isDigest,
} from './digest-section.js';
export { StreamError } from './error.js';
export type {
  BlockItem,
  ConfigurationItem,
  ConfigurationSubsection,
  MappedBlock,
  PageEncoding,
  SectionItem,
  StreamItem,
  StreamSink,
  VfioItem,
} from './item.js';
export type {
  MultifdDeviceItem,
  MultifdInitItem,
  MultifdItem,
  MultifdRamItem,
  MultifdSink,
  VfioPacket,
} from './multifd-item.js';
export { MultifdReader } from './multifd-reader.js';
export { MultifdSummary } from './multifd-summary.js';
export { MultifdWriter } from './multifd-writer.js';
export type { ByteSink } from './output.js';
export { mappedBlock } from './ram-writer.js';
export { type ReaderOptions, StreamReader } from './reader.js';
export { INSPECT_SCHEMA, type InspectReport } from './report.js';
export { StreamSummary } from './summary.js';
export { configPacket, parseConfigPacket, parseWhole } from './whole.js';
export { StreamWriter, type WriterOptions } from './writer.js';
