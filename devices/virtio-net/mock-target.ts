import { type AllocatedMemory, TargetError, type VhostTarget } from 'stopcopy/target';
import type { VhostBackend } from 'stopcopy/uapi';
import type { NetBackEnd } from './back-end.js';
import { CONDUCT } from './conduct.js';
import { VIRTIO_NET_FACES, virtioNetBackEnd } from './faces.js';
import { conductWith, netFaultNamed } from './faults.js';
import { EchoPort } from './wire.js';

const PREFIX = 'mock:virtio-net:';
/** How the URI looks, for people. */
export const MOCK_VHOST_FORM = 'mock:virtio-net:FACE (FACE is vhost, vhost-user or vdpa)';
/** User address of the first memory; any will do, in this process. */
const FIRST_ADDRESS = 0x7f00_0000_0000;

export function isMockVhost(uri: string): boolean {
  return uri.startsWith(PREFIX);
}

/**
 * A mock back end as a target: `mock:virtio-net:vhost-user?fault=NAME`.
 * @throws TargetError when there is no such interface, option or fault
 */
export function mockVhostTarget(uri: string, seed: number): VhostTarget {
  const [name = '', query = ''] = uri.slice(PREFIX.length).split('?', 2);
  const face = VIRTIO_NET_FACES.find((each) => each === name);
  if (face === undefined) throw new TargetError(`${uri}: expected ${MOCK_VHOST_FORM}`);
  const said = new URLSearchParams(query);
  for (const option of said.keys())
    if (option !== 'fault') throw new TargetError(`${uri}: no option is called ${option}; there is fault`);
  const conduct = conductOf(uri, said.get('fault'));
  const interfaceOf = { vhost: 'kernel', 'vhost-user': 'user', vdpa: 'vdpa' } as const;
  let backEnd: NetBackEnd | null = null;
  let port = new EchoPort();
  let address = FIRST_ADDRESS;
  return {
    uri,
    interface: interfaceOf[face],
    profile: undefined,
    allocate: (bytes: number): AllocatedMemory => {
      const memory = { bytes: new Uint8Array(bytes), address, free: () => {} };
      address += Math.ceil(bytes / 4096) * 4096;
      return memory;
    },
    open: (): VhostBackend => {
      port = new EchoPort();
      backEnd = virtioNetBackEnd(face, { name: 'net0', seed, port, conduct, deferred: true });
      return backEnd;
    },
    settle: () => {
      while (backEnd?.run());
    },
    inject: (frame) => port.transmit(frame),
    close: () => {},
  };
}

function conductOf(uri: string, fault: string | null) {
  if (fault === null) return CONDUCT;
  try {
    return conductWith(netFaultNamed(fault));
  } catch (error) {
    if (error instanceof RangeError) throw new TargetError(`${uri}: ${error.message}`);
    throw error;
  }
}
