import type { DeviceProjection } from './project-device.js';

/** What each event of KVM, iommufd and a type1 container is to the machines that follow it. */
export const DIRTY_LOG_PROJECTION: DeviceProjection = {};
