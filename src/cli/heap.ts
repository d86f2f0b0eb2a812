import { setFlagsFromString } from 'node:v8';

/** The flags below are those of V8 in Node 20 to 24; an unknown one would complain on standard error. */
const NEWEST_KNOWN = 24;

/**
 * Lets the heap grow only as far as live objects need. V8 likes to let garbage pile up to several times
 * of them before it looks, and a validator must not need more memory for a longer log.
 */
export function keepHeapSmall(): void {
  if (Number.parseInt(process.versions.node, 10) > NEWEST_KNOWN) return;
  setFlagsFromString('--heap-growing-percent=20');
  setFlagsFromString('--semi-space-growth-factor=1');
}
