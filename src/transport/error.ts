/** A channel cannot be opened, or has broken. The message is one sentence for people. */
export class TransportError extends Error {
  override readonly name = 'TransportError';
  /** The system's name of the failure, such as `ECONNRESET`, where there is one. */
  readonly code: string | undefined;

  constructor(message: string, { code, cause }: { code?: string | undefined; cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** What the system's names of failures mean for a channel. */
const WORDS: Readonly<Record<string, string>> = {
  EACCES: 'permission is denied',
  EADDRINUSE: 'the address is in use by somebody else',
  EADDRNOTAVAIL: 'this host has no such address',
  EAI_AGAIN: 'the name of the host could not be looked up',
  EBADF: 'the descriptor is not open in this direction',
  ECANCELED: 'it was closed on this side',
  ECONNREFUSED: 'nobody listens there',
  ECONNRESET: 'the other side has broken the connection off',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file gets larger than is allowed',
  EHOSTUNREACH: 'the host cannot be reached',
  EINVAL: 'the system refuses it (EINVAL)',
  EIO: 'the device reports an input or output error',
  EISDIR: 'it is a folder',
  EMFILE: 'too many files are open',
  ENETUNREACH: 'the network cannot be reached',
  ENOENT: 'there is no such file',
  ENOSPC: 'no space is left on the device',
  ENOTCONN: 'the socket is not connected',
  ENOTDIR: 'a part of the path is not a folder',
  ENOTFOUND: 'there is no host of this name',
  EPERM: 'it is not permitted',
  EPIPE: 'the other side has closed the connection',
  EROFS: 'the file system is read-only',
  ETIMEDOUT: 'the other side does not answer',
  ERR_STREAM_DESTROYED: 'it was closed on this side',
};

/** The name of a failure of the system, such as `EPIPE`. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

/**
 * A failure of the system as a sentence about a channel; a `TransportError` stays what it is.
 * @param what the channel, and where useful what was tried: `tcp:host:4444: cannot connect`
 */
export function transportError(what: string, error: unknown): TransportError {
  if (error instanceof TransportError) return error;
  const code = codeOf(error);
  const words = (code === undefined ? undefined : WORDS[code]) ?? (error as Error)?.message ?? String(error);
  return new TransportError(`${what}: ${words}`, { code, cause: error });
}

/** For a channel that was destroyed by its owner. */
export function closedHere(name: string): TransportError {
  return new TransportError(`${name}: it was closed on this side`, { code: 'ECANCELED' });
}

/** Marks a promise whose rejection nobody has to wait for, since the next call tells it again. */
export function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
