/** The byte channels of a migration: TCP, unix sockets, commands, descriptors and files. */
export { type AcceptOptions, acceptMigration, type MigrationChannels } from './accept-migration.js';
export type { Channel, Listener, Take } from './channel.js';
export { type ConnectOptions, connect, listen } from './connect.js';
export { TransportError } from './error.js';
export { openFile, type RandomFile } from './file.js';
export { type Clock, limited, RateLimit } from './rate-limit.js';
export { formatUri, type MigrationUri, parseUri } from './uri.js';
