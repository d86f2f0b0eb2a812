import { IOMMUFD_IOCTLS, IoasAlloc } from '../../uapi/iommufd.js';
import { VFIO_PCI_CONFIG_REGION } from '../../uapi/pci.js';
import type { Fields, FieldType, Struct } from '../../uapi/struct.js';
import {
  DEVICE_FLAGS_RESET,
  FEATURE_FLAGS,
  FEATURES,
  GROUP_FLAGS,
  IOCTLS,
  MIG_STATES,
  MIGRATION_FLAGS,
  VFIO_API_VERSION,
  VFIO_TYPE1V2_IOMMU,
} from '../../uapi/vfio.js';
import {
  DeviceAttachIommufdPt,
  DeviceBindIommufd,
  DeviceFeature,
  DeviceInfo,
  DmaLoggingControl,
  DmaLoggingRange,
  DmaLoggingReport,
  FeatureMigration,
  FeatureMigState,
  GroupStatus,
  MigDataSize,
  PrecopyInfo,
  RegionInfo,
} from '../../uapi/vfio-structs.js';

/** The layouts that the program uses. */
const STRUCTS = [
  DeviceFeature,
  FeatureMigration,
  FeatureMigState,
  MigDataSize,
  PrecopyInfo,
  DmaLoggingRange,
  DmaLoggingControl,
  DmaLoggingReport,
  DeviceInfo,
  RegionInfo,
  GroupStatus,
  DeviceBindIommufd,
  DeviceAttachIommufdPt,
  IoasAlloc,
] as unknown as readonly Struct<Fields>[];

/** Numbers by name, as the headers spell them. */
function numbers(): Record<string, number> {
  const named = (prefix: string, values: Readonly<Record<string, number>>) =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [`${prefix}${name}`, value]));
  return {
    ...named('', IOCTLS),
    ...named('', IOMMUFD_IOCTLS),
    ...named('VFIO_DEVICE_FEATURE_', FEATURES),
    ...named('VFIO_DEVICE_FEATURE_', FEATURE_FLAGS),
    ...named('VFIO_MIGRATION_', MIGRATION_FLAGS),
    ...named('VFIO_DEVICE_STATE_', Object.fromEntries(MIG_STATES.map((name, number) => [name, number]))),
    ...named('VFIO_GROUP_FLAGS_', GROUP_FLAGS),
    VFIO_DEVICE_FLAGS_RESET: DEVICE_FLAGS_RESET,
    VFIO_PCI_CONFIG_REGION_INDEX: VFIO_PCI_CONFIG_REGION,
    VFIO_API_VERSION,
    VFIO_TYPE1v2_IOMMU: VFIO_TYPE1V2_IOMMU,
  };
}

const C_TYPES: Readonly<Record<string, string>> = {
  u8: 'uint8_t',
  u16: 'uint16_t',
  u32: 'uint32_t',
  s32: 'int32_t',
  u64: '_Alignas(8) uint64_t',
};

function field(name: string, type: FieldType): string {
  return typeof type === 'string' ? `${C_TYPES[type]} ${name};` : `uint8_t ${name}[${type.bytes}];`;
}

function declaration({ name, fields, size, offsets }: Struct<Fields>): string {
  const members = Object.entries(fields).map(([each, type]) => `\t${field(each, type)}`);
  const [last] = Object.keys(fields).slice(-1);
  return [
    `struct ${name} {`,
    ...members,
    '};',
    `_Static_assert(sizeof(struct ${name}) == ${size}, "${name}");`,
    `_Static_assert(offsetof(struct ${name}, ${last}) == ${offsets[last!]}, "${name}.${last}");`,
  ].join('\n');
}

/** The part of the VFIO uAPI that the program uses, so that it needs no header of a kernel. */
export function cUapi(): string {
  const defines = Object.entries(numbers()).map(
    ([name, value]) => `#define ${name} 0x${value.toString(16)}U`,
  );
  const names = MIG_STATES.map((name) => `\t[VFIO_DEVICE_STATE_${name}] = "${name}",`);
  return [
    '/* The VFIO uAPI, as far as it is used here. */',
    '',
    ...defines,
    '',
    ...STRUCTS.map((each) => `${declaration(each)}\n`),
    `#define STATES ${MIG_STATES.length}`,
    'static const char *const state_names[STATES] = {',
    ...names,
    '};',
  ].join('\n');
}
