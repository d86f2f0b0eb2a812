/** Both ends of vfio-user, without the passing of descriptors. */
export { type ClientOptions, VfioUserClient } from './client.js';
export { vfioUserDevice } from './client-device.js';
export { SparseMemory } from './client-memory.js';
export { DIALECTS, type Dialect, dialectNamed, LIBVFIO_USER, SPECIFICATION } from './dialect.js';
export { VfioUserError } from './error.js';
export { FrameError, FrameParser, type VfioUserMessage } from './frames.js';
export { type ServedDevice, type ServerDma, type ServerOptions, serveVfioUser } from './server.js';
export { withoutP2p } from './without-p2p.js';
