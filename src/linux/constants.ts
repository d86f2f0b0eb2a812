import { constants } from 'node:fs';

/** Numbers of Linux that libc's headers give, alike on x86-64 and arm64. */

export const OPEN = {
  RDONLY: constants.O_RDONLY,
  RDWR: constants.O_RDWR,
  NONBLOCK: 0x800,
  CLOEXEC: 0x80000,
} as const;

export const MFD = { CLOEXEC: 1, ALLOW_SEALING: 2 } as const;
export const FCNTL = { SETFL: 4, GETFL: 3, ADD_SEALS: 1033, DUPFD_CLOEXEC: 1030 } as const;
/** The size of a sealed memory stays: nobody's mapping loses pages. */
export const SEALS = { SEAL: 1, SHRINK: 2, GROW: 4 } as const;

export const PROT = { READ: 1, WRITE: 2 } as const;
export const MAP = { SHARED: 1, PRIVATE: 2, FIXED: 0x10, ANONYMOUS: 0x20, NORESERVE: 0x4000 } as const;

export const EPOLL_CTL = { ADD: 1, DEL: 2 } as const;

export const AF_UNIX = 1;
export const SOCKET = { STREAM: 1, NONBLOCK: 0x800, CLOEXEC: 0x80000 } as const;
export const SOL_SOCKET = 1;
export const SCM_RIGHTS = 1;
export const SO_ERROR = 4;
export const SHUT_WR = 1;
export const MSG = { CTRUNC: 8, DONTWAIT: 0x40, NOSIGNAL: 0x4000, CMSG_CLOEXEC: 0x4000_0000 } as const;
/** Most descriptors that the kernel passes with one message (`SCM_MAX_FD`). */
export const SCM_MAX_FD = 253;
/** Bytes of a path of a unix socket, without the zero behind it. */
export const LONGEST_SOCKET_PATH = 107;
