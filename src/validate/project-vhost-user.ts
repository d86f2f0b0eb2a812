import type { DeviceProjection } from './project-device.js';

/** What each event of vhost-user is to the machines that follow it. */
export const VHOST_USER_PROJECTION: DeviceProjection = {};
