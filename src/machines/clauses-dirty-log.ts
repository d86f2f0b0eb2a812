/** Clauses of the dirty logs of KVM, iommufd and type1: where each stands, and what it says in our words. */
export const DIRTY_LOG_CLAUSES = {
  'kvm/get-dirty-log': [
    'Documentation/virt/kvm/api.rst, KVM_GET_DIRTY_LOG',
    'A slot that logs gives the pages written since the last call, and looks out for their next write.',
  ],
} as const satisfies Record<string, readonly [string, string]>;
