/** What the VMM does beside its requests. */
export type VmmEvent =
  | { readonly kind: 'vhost_dev_start' | 'vhost_dev_stop'; readonly begin: boolean }
  | { readonly kind: 'vhost_logging' | 'shadow_virtqueues'; readonly on: boolean }
  | { readonly kind: 'vring_start' | 'vring_stop'; readonly index: number; readonly begin: boolean }
  | {
      readonly kind: 'vring_base_read';
      readonly interface: 'vdpa';
      readonly index: number;
      readonly num: number;
      /** The VMM knew it, and did not ask. */
      readonly shadow: true;
    }
  | {
      readonly kind: 'vdpa_cvq_command';
      readonly class: number;
      readonly command: number;
      readonly ok: boolean;
    }
  | {
      readonly kind: 'vhost_log_read';
      readonly pages: [first: number, count: number][];
      readonly final: boolean;
    };
