import type { OptionalCall } from '../uapi/optional-call.js';
import type { StepKind } from './suite.js';

const OPTIONAL: Partial<Record<StepKind, OptionalCall>> = {
  reset: 'reset',
  reopen: 'reopen',
  data_size: 'data_size',
  precopy_info: 'precopy_info',
  precopy_info_v2: 'precopy_info_v2',
  read_region: 'read_region',
  log_start: 'dma_logging',
  log_stop: 'dma_logging',
  log_report: 'dma_logging',
};

/** The optional call that a step makes; null where every device has it. */
export function optionalCallOf(kind: StepKind): OptionalCall | null {
  return OPTIONAL[kind] ?? null;
}
