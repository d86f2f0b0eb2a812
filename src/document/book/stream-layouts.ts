import { VFIO_STREAM_TAGS } from '../../uapi/qemu.js';
import { RAM_SECTION, STREAM_BYTES, STREAM_MAGIC, STREAM_VERSION } from '../../uapi/qemu-stream.js';
import type { LayoutRow } from '../diagram/byte-layout.js';
import type { Layout } from './format-pages.js';

const SIZES = { u8: 1, u16: 2, u32: 4, u64: 8 } as const;
type Field = readonly [name: string, type: keyof typeof SIZES | number, meaning: string];

/** Fields one behind the other, without gaps: parts of a stream are aligned to nothing. */
function packed(name: string, fields: readonly Field[], words: string): Layout {
  let offset = 0;
  const rows = fields.map(([field, type, meaning]): LayoutRow => {
    const size = typeof type === 'number' ? type : SIZES[type];
    const row = { name: field, offset, size, type: typeof type === 'number' ? `u8[${type}]` : type, meaning };
    offset += size;
    return row;
  });
  return { name, size: offset, rows, words };
}

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
const first = (name: keyof typeof STREAM_BYTES): Field => [
  'type',
  'u8',
  `${hex(STREAM_BYTES[name])}: ${name}`,
];
const { idstr } = RAM_SECTION;

/**
 * The parts of a migration stream whose lengths vary, drawn for a section of RAM; what is behind their heads is told
 * in words. A test holds them to what the writer of streams writes.
 */
export const STREAM_PARTS: readonly Layout[] = [
  packed(
    'header',
    [
      ['magic', 'u32', `${hex(STREAM_MAGIC)}: QEVM`],
      ['version', 'u32', String(STREAM_VERSION)],
    ],
    'What a stream begins with.',
  ),
  packed(
    'section START, FULL',
    [
      ['type', 'u8', `${hex(STREAM_BYTES.START)}: START, ${hex(STREAM_BYTES.FULL)}: FULL`],
      ['section_id', 'u32', 'by which PART and END find it again'],
      ['idstr_len', 'u8', 'bytes of the name'],
      ['idstr', idstr.length, `the name, here \`${idstr}\``],
      ['instance_id', 'u32', 'of several with one name'],
      ['version_id', 'u32', 'of the form of its body'],
    ],
    'The first section of a live state, or the only one of a device that is saved at once. Its body follows.',
  ),
  packed(
    'section PART, END',
    [
      ['type', 'u8', `${hex(STREAM_BYTES.PART)}: PART, ${hex(STREAM_BYTES.END)}: END`],
      ['section_id', 'u32', 'as its START had it'],
    ],
    'A further section of a live state. Its body follows.',
  ),
  packed(
    'section footer',
    [first('FOOTER'), ['section_id', 'u32', 'of the section that ends']],
    'Behind each section, unless the machine type leaves it out.',
  ),
  packed(
    'command',
    [
      first('COMMAND'),
      ['command', 'u16', 'such as PING'],
      ['length', 'u16', 'bytes of the payload, which follows'],
    ],
    'What the source tells the destination beside its state.',
  ),
  packed(
    'VFIO data record',
    [
      ['tag', 'u64', `${hex(VFIO_STREAM_TAGS.DEV_DATA_STATE)}: DEV_DATA_STATE`],
      ['data_size', 'u64', 'bytes of device state, which follow'],
    ],
    'In the body of a VFIO section: what one read() of the data_fd gave. Other tags stand alone; the last one of a body is END_OF_STATE.',
  ),
];
