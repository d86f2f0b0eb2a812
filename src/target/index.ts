/** Devices under observation and under test. */
export { type RecorderOptions, recorded } from './recorded.js';
export {
  type GuestRig,
  OPTIONAL_CALLS,
  type OpenOptions,
  type OptionalCall,
  type Target,
  TargetError,
} from './target.js';
