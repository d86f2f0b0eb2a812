export { LONGEST_SOCKET_PATH, OPEN, SCM_MAX_FD } from './constants.js';
export { type Interest, LinuxError, LONGEST_VIEW } from './libc.js';
export { Linux, loadLinux, type PollFd } from './linux.js';
export type { MapOptions, Mapping } from './mapping.js';
export { LARGEST_MESSAGE, type Received } from './messages.js';
export { connectUnixSocket, listenUnixSocket, type UnixListener } from './unix-socket.js';
export type { Ready, Watch } from './watch.js';
