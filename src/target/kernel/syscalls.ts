/** A system call and its arguments. Descriptors are those of the process that makes the calls. */
export type Call =
  | { call: 'open'; path: string; flags: number }
  | { call: 'close'; fd: number }
  /** close() of all that the calls have opened. */
  | { call: 'close_all' }
  | { call: 'ioctl'; fd: number; request: number; arg: Uint8Array | number; pointed?: readonly Pointed[] }
  /** pread() when there is an offset. At most `size` bytes. */
  | { call: 'read'; fd: number; size: number; offset?: bigint }
  /** pwrite() when there is an offset. */
  | { call: 'write'; fd: number; bytes: Uint8Array; offset?: bigint };

/** Memory that the argument of an ioctl points at: its address is put into the argument, eight bytes at `at`. */
export interface Pointed {
  at: number;
  bytes: Uint8Array;
}

/** What a system call gave. */
export interface Answer {
  /** The return value; -1 when it failed. */
  value: number;
  /** errno when it failed, else 0. */
  errno: number;
  /** What was read; the argument of an ioctl as the kernel left it. Empty for other calls. */
  bytes: Uint8Array;
  /** The memory that the argument points at, as the kernel left it. */
  pointed: readonly Uint8Array[];
}

/** The system calls of this host. */
export interface Syscalls {
  /**
   * Makes a call; calls are made one after another, in order.
   * @param what what it does, for the error
   * @throws TargetError when it does not return in time, or nobody is there any more to make it
   */
  call(call: Call, what: string): Promise<Answer>;
  /** Whether calls can be made. */
  readonly isUsable: boolean;
  /** Closes all descriptors. Whoever makes the calls may end when no call comes for a while. */
  rest(): Promise<void>;
}
