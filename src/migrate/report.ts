import { MigrationError } from './error.js';
import type { GuestBooks } from './machine.js';
import type { Prerequisite } from './requirements.js';

/** Version of the JSON that `stopcopy migrate --json` prints. */
export const MIGRATE_SCHEMA = 'stopcopy-migrate-1';

/** How a migration has ended; `ambiguous`: nobody can know from here where the VM runs. */
export type Outcome = 'completed' | 'cancelled' | 'failed' | 'ambiguous';

/** Where the VM runs after a migration, as far as the reporter can know. */
export type RunsOn = 'source' | 'destination' | 'none';

/** What is known of one device after a migration. */
export interface DeviceReport {
  readonly name: string;
  readonly model: string;
  /** Bytes of device data in the stream. */
  readonly bytes: number;
  /** Device state of both sides is the same; null when it was not compared. */
  readonly stateEqual: boolean | null;
  /** The guest's driver has traffic in both directions again; null when nobody looked. */
  readonly works: boolean | null;
  readonly books: GuestBooks | null;
}

/** The outcome of a migration. `migrate --json` prints it; times in milliseconds, sizes in bytes. */
export interface MigrateReport {
  readonly schema: typeof MIGRATE_SCHEMA;
  readonly outcome: Outcome;
  readonly running: RunsOn;
  readonly error: string | null;
  /** What a person has to do, when two hosts could not agree. */
  readonly advice: string | null;
  readonly memoryEqual: boolean | null;
  readonly deviceStateEqual: boolean | null;
  readonly framesLost: number | null;
  readonly framesDuplicated: number | null;
  readonly downtimeMs: number | null;
  readonly totalMs: number;
  readonly setupMs: number | null;
  readonly bytes: { readonly ram: number; readonly device: number; readonly total: number };
  /** Bytes by phase: setup, precopy, stopcopy, postcopy. */
  readonly phases: Readonly<Record<string, number>>;
  readonly pages: { readonly normal: number; readonly zero: number };
  /** How often the dirty bitmap was synced. */
  readonly rounds: number;
  /** Share of guest time that was lost while migrating, 0 to 1. */
  readonly guestSlowdown: number | null;
  readonly throttle: number;
  readonly prerequisites: readonly Prerequisite[];
  readonly devices: readonly DeviceReport[];
}

/** How far a migration is. Rates in bytes per second. */
export interface Progress {
  readonly status: string;
  readonly devices: readonly { readonly name: string; readonly state: string }[];
  readonly elapsedMs: number;
  readonly sentBytes: number;
  readonly remainingBytes: number;
  readonly totalRam: number;
  readonly rate: number;
  readonly dirtyRate: number;
  readonly rounds: number;
  /** Milliseconds; null before a rate is known. */
  readonly expectedDowntimeMs: number | null;
  readonly throttle: number;
}

/** What a destination knows when the VM runs on it, told to the source on the return path. */
export interface DestinationReport {
  readonly ramDigest: string | null;
  readonly error: string | null;
  readonly devices: readonly {
    readonly name: string;
    readonly digest: string | null;
    readonly works: boolean | null;
    readonly books: GuestBooks | null;
  }[];
  readonly complaints: readonly string[];
}

type Fields = Readonly<Record<string, unknown>>;

/** The report of a destination from its text. @throws MigrationError when it is none */
export function readDestinationReport(text: string): DestinationReport {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = null;
  }
  if (isDestinationReport(value)) return value;
  throw new MigrationError('the destination sends a report that cannot be read');
}

function isDestinationReport(value: unknown): value is DestinationReport {
  if (!isObject(value)) return false;
  const { ramDigest, error, devices, complaints } = value;
  return isTextOrNull(ramDigest) && isTextOrNull(error) && areTexts(complaints) && areAll(devices, isDevice);
}

function isDevice({ name, digest, works, books }: Fields): boolean {
  const tried = works === null || typeof works === 'boolean';
  return typeof name === 'string' && isTextOrNull(digest) && tried && (books === null || areBooks(books));
}

/** Counts that a report is made of; there may be more. */
const COUNTS = [
  ...(['framesReceived', 'framesOnWire', 'framesLost', 'framesDuplicated'] as const),
  ...(['framesDropped', 'mailboxRequests'] as const),
] satisfies readonly (keyof GuestBooks)[];

function areBooks(value: unknown): boolean {
  if (!isObject(value)) return false;
  return areTexts(value.complaints) && COUNTS.every((name) => Number.isSafeInteger(value[name]));
}

const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null;
const isTextOrNull = (value: unknown): boolean => value === null || typeof value === 'string';
const areAll = (value: unknown, is: (each: Fields) => boolean): boolean =>
  Array.isArray(value) && value.every((each) => isObject(each) && is(each));
const areTexts = (value: unknown): boolean =>
  Array.isArray(value) && value.every((each) => typeof each === 'string');
