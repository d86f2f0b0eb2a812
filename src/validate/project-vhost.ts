import type { DeviceProjection } from './project-device.js';

/** What each event of kernel vhost is to the machines that follow it. */
export const VHOST_PROJECTION: DeviceProjection = {};
