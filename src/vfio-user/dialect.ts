import type { MigState } from '../uapi/vfio.js';
import type { VfioUserCommand } from '../uapi/vfio-user.js';

/**
 * How an implementation of the protocol behaves where the specification leaves a choice, or where it differs.
 * A client needs to know some of it beforehand, and our server can behave that way too.
 */
export interface Dialect {
  readonly name: 'specification' | 'libvfio-user';
  /** Its profile in `machines/profiles.ts`. */
  readonly profile: string | undefined;
  /** Data in one message that is safe to send and to ask for, in bytes. */
  readonly maxData: number;
  /** A reply to MIG_DATA_READ has the size that was asked for, with zeros behind what its size field says. */
  readonly padsReads: boolean;
  /** An error reply to DEVICE_FEATURE carries the request's payload. */
  readonly echoesErrors: boolean;
  /** In these states the server takes only these commands; null: it takes all in every state. */
  readonly admission: {
    readonly states: readonly MigState[];
    readonly commands: readonly VfioUserCommand[];
  } | null;
  /** DEVICE_RESET is the uAPI's: from anywhere to RUNNING. */
  readonly resetsMigration: boolean;
  /** A new connection finds the device in the state in which the last one left it. */
  readonly keepsStateOverConnections: boolean;
  /** DMA logging can be read by a client that passes no descriptors. */
  readonly logsWithoutFds: boolean;
}

/** The dialects of vfio-user: the specification first, then those of implementations. */
export const DIALECTS: readonly Dialect[] = [
  {
    name: 'specification',
    profile: undefined,
    maxData: 1 << 20,
    padsReads: false,
    echoesErrors: false,
    admission: null,
    resetsMigration: true,
    keepsStateOverConnections: false,
    logsWithoutFds: true,
  },
  {
    // As of 2026. It reads a message with one recv(): what does not fit into the socket's buffer is lost.
    name: 'libvfio-user',
    profile: 'libvfio-user',
    maxData: 1 << 16,
    padsReads: true,
    echoesErrors: true,
    admission: {
      states: ['STOP', 'STOP_COPY'],
      commands: ['VERSION', 'REGION_READ', 'REGION_WRITE', 'DEVICE_FEATURE', 'MIG_DATA_READ'],
    },
    resetsMigration: false,
    keepsStateOverConnections: true,
    logsWithoutFds: false,
  },
];

/** The dialect of the specification. */
export const SPECIFICATION: Dialect = DIALECTS[0]!;
/** What libvfio-user does otherwise, and servers built on it. */
export const LIBVFIO_USER: Dialect = DIALECTS[1]!;

/** The dialect with this name, or undefined. */
export function dialectNamed(name: string): Dialect | undefined {
  return DIALECTS.find((each) => each.name === name);
}
