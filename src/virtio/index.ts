/** Virtqueues over guest memory, split and packed, from both sides. */
export { deviceQueue, driverQueue } from './open.js';
export * from './queue.js';
