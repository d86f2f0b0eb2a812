/** Clauses of vhost-user: where each stands, and what it says in our words. */
export const VHOST_USER_CLAUSES = {
  'vhost-user/ring-states': [
    'docs/interop/vhost-user.rst, "Ring states"',
    'A ring is started by a kick and stopped by GET_VRING_BASE; SET_VRING_ENABLE says whether it has side effects.',
  ],
} as const satisfies Record<string, readonly [string, string]>;
