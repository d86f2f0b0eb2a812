/** Numbers, layouts and codecs of the ABIs. No behaviour. */
export * from './device.js';
export * from './dirty-bitmap.js';
export * from './errno.js';
export * from './party.js';
export * from './qemu.js';
export * from './qemu-stream.js';
export * from './struct.js';
export * from './vfio.js';
export * from './vfio-structs.js';
export * from './vfio-user.js';
