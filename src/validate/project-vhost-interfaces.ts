import type { TraceEvent } from '../trace/event.js';
import type { VhostInterface } from '../uapi/vhost-backend.js';
import type { DeviceTracker } from './device-tracker.js';
import type { DeviceProjection } from './project-device.js';
import { VDPA_PROJECTION } from './project-vdpa.js';
import { VHOST_PROJECTION } from './project-vhost.js';
import { VHOST_USER_PROJECTION } from './project-vhost-user.js';

const BY_INTERFACE: Readonly<Record<VhostInterface, DeviceProjection>> = {
  kernel: VHOST_PROJECTION,
  user: VHOST_USER_PROJECTION,
  vdpa: VDPA_PROJECTION,
};

type Project = (device: DeviceTracker, event: TraceEvent) => void;

/** Events that several interfaces have go to the machines of the one that they came over. */
export const VHOST_INTERFACE_PROJECTION = merge();

function merge(): DeviceProjection {
  const kinds = new Set(Object.values(BY_INTERFACE).flatMap((projection) => Object.keys(projection)));
  const merged: Record<string, Project> = {};
  for (const kind of kinds) {
    const of = (via: VhostInterface) => (BY_INTERFACE[via] as Record<string, Project>)[kind];
    const only = Object.keys(BY_INTERFACE).map((via) => of(via as VhostInterface));
    const own = kind.startsWith('vdpa_') ? 'vdpa' : kind === 'vhost_message' ? 'user' : undefined;
    merged[kind] = (device, event) => {
      device.via = 'interface' in event ? event.interface : (own ?? device.via);
      if ('interface' in event) of(event.interface)?.(device, event);
      else for (const project of only) project?.(device, event);
    };
  }
  return merged as DeviceProjection;
}
