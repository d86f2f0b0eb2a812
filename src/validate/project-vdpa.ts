import type { DeviceProjection } from './project-device.js';

/** What each event of vhost-vdpa is to the machines that follow it. */
export const VDPA_PROJECTION: DeviceProjection = {};
