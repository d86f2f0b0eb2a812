/** Clauses of vhost-vdpa and shadow virtqueues: where each stands, and what it says in our words. */
export const VDPA_CLAUSES = {
  'vdpa/status': [
    'drivers/vhost/vdpa.c (Linux 7.2), VHOST_VDPA_SET_STATUS',
    'Status bits are only added; only 0, a reset, takes them away.',
  ],
} as const satisfies Record<string, readonly [string, string]>;
