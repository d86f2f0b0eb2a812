/** The dirty log of this host's KVM, held against the machines. */
export {
  type KvmDirtyLogOptions,
  type KvmDirtyLogResult,
  type KvmDisagreementReport,
  runKvmDirtyLog,
} from './dirty-log.js';
export { KVM_LOG_MODES, type KvmLogMode, type KvmStep } from './sequence.js';
export { KVM_FILE, KvmVm } from './vm.js';
