import type { Rule } from './rule.js';
import { VHOST_USER_BASE_RULES } from './vhost-user-bases.js';
import { VHOST_USER_LOG_RULES } from './vhost-user-log.js';
import { VHOST_USER_MESSAGE_RULES } from './vhost-user-messages.js';
import { VHOST_USER_NEGOTIATION_RULES } from './vhost-user-negotiation.js';
import { VHOST_USER_RING_RULES } from './vhost-user-rings.js';
import { VHOST_USER_STATE_RULES } from './vhost-user-state.js';

/** vhost-user: front end (`vmm`) and back end (`driver`). */
export const VHOST_USER_RULES: readonly Rule[] = [
  ...VHOST_USER_NEGOTIATION_RULES,
  ...VHOST_USER_MESSAGE_RULES,
  ...VHOST_USER_RING_RULES,
  ...VHOST_USER_LOG_RULES,
  ...VHOST_USER_STATE_RULES,
  ...VHOST_USER_BASE_RULES,
];
