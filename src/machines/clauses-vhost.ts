/** Clauses of kernel vhost and its dirty log: where each stands, and what it says in our words. */
export const VHOST_CLAUSES = {
  'vhost/log-all': [
    'drivers/vhost/vhost.c (Linux 7.2), vhost_log_write()',
    "With VHOST_F_LOG_ALL each page of a buffer that was written gets its bit, by the written length and the descriptor's guest physical address.",
  ],
} as const satisfies Record<string, readonly [string, string]>;
