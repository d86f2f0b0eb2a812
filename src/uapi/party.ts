/** Who is bound by a rule. */
export type Party = 'driver' | 'vmm' | 'kernel' | 'guest';
