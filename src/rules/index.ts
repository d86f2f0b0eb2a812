import type { Party } from '../uapi/party.js';
import { AFTER_SESSION_RULES } from './after-session.js';
import { DEVICE_FSM_GENERAL, DEVICE_FSM_RULES } from './device-fsm.js';
import { DIRTY_TRACKER_RULES } from './dirty-trackers.js';
import { DMA_LOGGING_RULES } from './dma-logging.js';
import { DRIVER_ARC_RULES } from './driver-arcs.js';
import { KVM_CAPABILITY_RULES } from './kvm-capabilities.js';
import { KVM_DIRTY_LOG_RULES } from './kvm-dirty-log.js';
import { KVM_DIRTY_RING_RULES } from './kvm-dirty-ring.js';
import { LOADING_RULES } from './loading.js';
import { MULTIFD_RULES } from './multifd.js';
import { OUTCOME_RULES } from './outcome.js';
import { PRECOPY_RULES } from './precopy.js';
import { QUIESCENCE_RULES } from './quiescence.js';
import { RESET_RULES } from './reset.js';
import { RESUMING_RULES } from './resuming.js';
import type { Rule } from './rule.js';
import { SESSION_RULES } from './session.js';
import { SHADOW_VIRTQUEUE_RULES } from './shadow-virtqueues.js';
import { SWITCHOVER_RULES } from './switchover.js';
import { VDPA_RULES } from './vdpa.js';
import { VDPA_RING_RULES } from './vdpa-rings.js';
import { VHOST_KERNEL_RULES } from './vhost-kernel.js';
import { VHOST_LOG_RULES } from './vhost-log.js';
import { VHOST_USER_RULES } from './vhost-user.js';
import { VHOST_VMM_RULES } from './vhost-vmm.js';
import { VMM_CALL_RULES } from './vmm-calls.js';
import { VMM_DESTINATION_RULES } from './vmm-destination.js';
import { VMM_MIGRATION_RULES } from './vmm-migration.js';
import { VMM_SOURCE_RULES } from './vmm-source.js';
import { VMM_STATUS_RULES } from './vmm-status.js';
import { VRING_INDEX_RULES } from './vring-indices.js';

export type { DeviceView, HostView, Level, Refusal, Rule, Scope, Watch } from './rule.js';

/** Every rule. A refusal goes to the first rule that claims it, so special rules stand before general ones. */
export const RULES: readonly Rule[] = [
  ...DEVICE_FSM_RULES,
  ...PRECOPY_RULES,
  ...SESSION_RULES,
  ...RESUMING_RULES,
  ...LOADING_RULES,
  ...AFTER_SESSION_RULES,
  ...RESET_RULES,
  ...DEVICE_FSM_GENERAL,
  ...DRIVER_ARC_RULES,
  ...QUIESCENCE_RULES,
  ...DMA_LOGGING_RULES,
  ...VMM_CALL_RULES,
  ...VMM_SOURCE_RULES,
  ...VMM_DESTINATION_RULES,
  ...VMM_MIGRATION_RULES,
  ...VMM_STATUS_RULES,
  ...SWITCHOVER_RULES,
  ...MULTIFD_RULES,
  ...OUTCOME_RULES,
  ...VHOST_KERNEL_RULES,
  ...VHOST_LOG_RULES,
  ...VHOST_VMM_RULES,
  ...VDPA_RULES,
  ...VDPA_RING_RULES,
  ...SHADOW_VIRTQUEUE_RULES,
  ...VRING_INDEX_RULES,
  ...DIRTY_TRACKER_RULES,
  ...KVM_DIRTY_LOG_RULES,
  ...KVM_CAPABILITY_RULES,
  ...KVM_DIRTY_RING_RULES,
  ...VHOST_USER_RULES,
];

/** The rule with this id, or undefined. */
export function ruleNamed(id: string): Rule | undefined {
  return RULES.find((rule) => rule.id === id);
}

/** Ids of the rules that bind a party. */
export function ruleIdsOf(party: Party): string[] {
  return RULES.filter((rule) => rule.party === party).map(({ id }) => id);
}
