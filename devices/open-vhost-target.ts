import { VHOST_TARGET_KINDS, type VhostTarget, type VhostTargetKind, vhostTargetOf } from 'stopcopy/target';
import { isMockVhost, MOCK_VHOST_FORM, mockVhostTarget } from './virtio-net/mock-target.js';

/** Whether a URI names a vhost back end. */
export function isVhostTarget(uri: string): boolean {
  return isMockVhost(uri) || VHOST_TARGET_KINDS.some(({ prefix }) => uri.startsWith(prefix));
}

/**
 * The vhost back end of a URI: a mock of this package, or one outside. Nothing is opened yet.
 * @param seed of a mock back end
 * @throws TargetError when the URI is of no kind, or names no back end
 */
export async function openVhostTarget(uri: string, seed = 1): Promise<VhostTarget> {
  const mock: VhostTargetKind = {
    prefix: 'mock:virtio-net:',
    form: MOCK_VHOST_FORM,
    make: (text) => mockVhostTarget(text, seed),
  };
  return vhostTargetOf(uri, [mock, ...VHOST_TARGET_KINDS]);
}
