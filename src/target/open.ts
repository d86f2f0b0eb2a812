import { clean, cut } from '../text/words.js';
import { execTarget } from './exec/exec-target.js';
import { vfioTarget } from './kernel/index.js';
import { type Target, TargetError } from './target.js';
import { vfioUserTarget } from './vfio-user.js';

/** A way to name a device, and what makes a target of its URI. */
export interface TargetKind {
  /** What stands before the colon. */
  readonly scheme: string;
  /** How a URI of this kind looks, for people. */
  readonly form: string;
  make(uri: string): Target;
}

/** Devices outside of this process. */
export const TARGET_KINDS: readonly TargetKind[] = [
  { scheme: 'vfio-user', form: 'vfio-user:/path.sock', make: (uri) => vfioUserTarget(uri) },
  {
    scheme: 'vfio',
    form: 'vfio:/dev/vfio/devices/vfioN, vfio:BDF or vfio:UUID',
    make: (uri) => vfioTarget(uri),
  },
  { scheme: 'exec', form: 'exec:COMMAND', make: (uri) => execTarget(uri) },
];

/**
 * The target of a URI; nothing is opened yet.
 * @throws TargetError when the URI is of no kind, or is not complete
 */
export function targetOf(uri: string, kinds: readonly TargetKind[] = TARGET_KINDS): Target {
  const scheme = uri.slice(0, Math.max(0, uri.indexOf(':')));
  const kind = kinds.find((each) => each.scheme === scheme);
  if (kind !== undefined) return kind.make(uri);
  throw new TargetError(
    `'${cut(clean(uri), 60)}' is no target; there are ${kinds.map(({ form }) => form).join(', ')}`,
  );
}
