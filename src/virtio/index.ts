/** Virtqueues over guest memory, split and packed, from both sides. */
export { MOST_DESCRIPTORS } from './chain.js';
export { deviceQueue, driverQueue } from './open.js';
export * from './queue.js';
