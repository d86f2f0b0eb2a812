import type { VhostCase } from './case.js';
import { GENERAL_CASES } from './general-cases.js';
import { KERNEL_CASES } from './kernel-cases.js';
import { LOG_CASES } from './log-cases.js';
import { USER_CASES } from './user-cases.js';
import { VDPA_CASES } from './vdpa-cases.js';

/** Every case, in the order in which they are run. */
export const VHOST_CASES: readonly VhostCase[] = [
  ...GENERAL_CASES,
  ...LOG_CASES,
  ...USER_CASES,
  ...VDPA_CASES,
  ...KERNEL_CASES,
];
