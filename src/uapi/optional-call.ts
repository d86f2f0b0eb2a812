/** Calls of the VFIO uAPI that an interface may have no form for. */
export const OPTIONAL_CALLS = [
  'reset',
  'reopen',
  'data_size',
  'precopy_info',
  'precopy_info_v2',
  'dma_logging',
  'read_region',
] as const;
export type OptionalCall = (typeof OPTIONAL_CALLS)[number];
