/** Commands to a running side, for who lists them without loading any. `control.ts` carries them out. */
export const CONTROL_WORDS = ['cancel', 'cont', 'continue', 'quit', 'status'] as const;
