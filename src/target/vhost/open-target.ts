import { clean, cut } from '../../text/words.js';
import { TargetError } from '../target.js';
import type { VhostTarget } from '../vhost-target.js';
import { KERNEL_VHOST_FORMS, kernelVhostTarget } from './target.js';
import { vhostUserTarget } from './user-target.js';

/** A way to name a vhost back end, and what makes a target of its URI. */
export interface VhostTargetKind {
  /** What the URI begins with, such as `vhost-user:`. */
  readonly prefix: string;
  /** How a URI of this kind looks, for people. */
  readonly form: string;
  make(uri: string): VhostTarget | Promise<VhostTarget>;
}

/** Back ends outside of this process. */
export const VHOST_TARGET_KINDS: readonly VhostTargetKind[] = [
  { prefix: 'vhost-user:', form: 'vhost-user:/path.sock', make: vhostUserTarget },
  { prefix: 'vhost-vdpa:', form: KERNEL_VHOST_FORMS[1], make: kernelVhostTarget },
  { prefix: 'vhost:', form: KERNEL_VHOST_FORMS[0], make: kernelVhostTarget },
];

/**
 * The target of a URI; nothing is opened yet.
 * @throws TargetError when the URI is of no kind, or is not complete, or this system cannot do it
 */
export async function vhostTargetOf(
  uri: string,
  kinds: readonly VhostTargetKind[] = VHOST_TARGET_KINDS,
): Promise<VhostTarget> {
  const kind = kinds.find(({ prefix }) => uri.startsWith(prefix));
  if (kind !== undefined) return kind.make(uri);
  const forms = kinds.map(({ form }) => form).join(', ');
  throw new TargetError(`'${cut(clean(uri), 60)}' is no vhost back end; there are ${forms}`);
}
