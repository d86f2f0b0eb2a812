import { createHash } from 'node:crypto';
import type { VhostFactory } from 'stopcopy/migrate';
import { featureBits, hasFeature, VIRTIO_FEATURES } from 'stopcopy/uapi';
import { CONDUCT } from './conduct.js';
import { type VirtioNetFace, virtioNetBackEnd } from './faces.js';
import { conductWith, netFaultNamed } from './faults.js';
import { NetGuest } from './net-guest.js';
import type { NetSettings } from './settings.js';
import { saveSettings } from './state.js';
import { NET_FRAME, NetWire, rarpAnnouncement } from './wire.js';
import { wireState } from './wire-state.js';

export interface VirtioNetFactoryOptions {
  readonly face: VirtioNetFace;
  readonly seed: number;
  readonly mac: Uint8Array;
  readonly queuePairs: number;
  /** Descriptors of each queue; default 64. */
  readonly ringSize?: number;
  /** Packed rings; of vhost-user only. */
  readonly packed?: boolean;
  /** Frames that the wire sends in a tick, and each queue pair in a run; default 4. */
  readonly framesPerTick?: number;
  /** Name of a fault that the back end has. */
  readonly fault?: string;
}

/** Features of the guest's driver. */
const DRIVER_FEATURES = featureBits(
  VIRTIO_FEATURES.VERSION_1,
  VIRTIO_FEATURES.NET_MRG_RXBUF,
  VIRTIO_FEATURES.EVENT_IDX,
  VIRTIO_FEATURES.NET_MAC,
  VIRTIO_FEATURES.NET_CTRL_VQ,
  VIRTIO_FEATURES.NET_CTRL_RX,
  VIRTIO_FEATURES.NET_CTRL_VLAN,
);

/**
 * A virtio-net device in a machine: the back end behind one of its interfaces, a wire at its port, and a driver in
 * the guest.
 * @throws RangeError for packed rings of a back end that has none, and for a fault that is none
 */
export function virtioNetFactory(options: VirtioNetFactoryOptions): VhostFactory {
  const { face, seed, mac, queuePairs, ringSize = 64, packed = false, framesPerTick = 4, fault } = options;
  const conduct = fault === undefined ? CONDUCT : conductWith(netFaultNamed(fault));
  if (packed && face !== 'vhost-user') throw new RangeError(`packed rings are not to be had of ${face}`);
  return (slot) => {
    const most = { toGuest: NET_FRAME.most, fromGuest: NET_FRAME.most };
    const wire = new NetWire({ seed, mac, most });
    const backEnd = virtioNetBackEnd(face, {
      conduct,
      observe: { write: (write) => slot.wrote(write) },
      name: slot.name,
      seed,
      mac,
      queuePairs,
      port: wire,
      deferred: true,
    });
    const wanted = DRIVER_FEATURES | (packed ? featureBits(VIRTIO_FEATURES.RING_PACKED) : 0n);
    const features = backEnd.getFeatures() & wanted;
    const control = hasFeature(features, VIRTIO_FEATURES.NET_CTRL_VQ);
    const guest = new NetGuest({
      slot,
      wire,
      features,
      queuePairs,
      control,
      ringSize,
      framesPerRun: framesPerTick,
      seed,
    });
    return {
      backend: backEnd,
      driverFeatures: features,
      model: `virtio-net:${face}`,
      requirements: {
        'queue pairs': queuePairs,
        'ring size': ringSize,
        features: `0x${features.toString(16)}`,
      },
      tick: () => {
        wire.offer(Math.max(0, framesPerTick - wire.queued));
        while (backEnd.run());
      },
      guest,
      states: [wireState(slot.name, wire)],
      macs: () => [mac],
      announce: (address) => wire.transmit(rarpAnnouncement(address)),
      digest: () => digestOf(face, backEnd.settings),
    };
  };
}

/** Of what crosses beside the rings: a back end's own state, or what the VMM sets again by the control queue. */
function digestOf(face: VirtioNetFace, settings: NetSettings): string | null {
  if (face === 'vhost') return null;
  const { mac, pairs, modes, unicast, multicast, vlans } = settings;
  const set = { mac: [...mac], pairs, modes, unicast, multicast, vlans: [...vlans].sort((a, b) => a - b) };
  const bytes = face === 'vdpa' ? JSON.stringify(set) : saveSettings(settings);
  return createHash('sha256').update(bytes).digest('hex');
}
