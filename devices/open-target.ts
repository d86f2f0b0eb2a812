import { TARGET_KINDS, type Target, type TargetKind, targetOf } from 'stopcopy/target';
import { mockTarget } from './mock-target.js';

/**
 * The target of a URI: a mock device of this package, or a device outside. Nothing is opened yet.
 * @param seed of the traffic and the faults of a mock device
 * @throws TargetError when the URI is of no kind, or names no device
 */
export function openTarget(uri: string, seed = 1): Target {
  const mock: TargetKind = {
    scheme: 'mock',
    form: 'mock:DEVICE (such as mock:uart)',
    make: (text) => mockTarget(text, seed),
  };
  return targetOf(uri, [mock, ...TARGET_KINDS]);
}
