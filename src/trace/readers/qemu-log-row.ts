import type { EventKind, EventOf, TraceEvent } from '../event.js';
import { compileFormat, type Fields, type Step } from './qemu-log-format.js';
import type { LogMemory } from './qemu-log-memory.js';

export { PROTOCOL_V1 } from './qemu-log-memory.js';

type Without<E, K extends PropertyKey> = E extends unknown ? Omit<E, K> : never;

/** An event without the place where it was seen; the parser adds that. */
export type Bare<K extends EventKind = EventKind> = Without<
  EventOf<K>,
  Exclude<keyof TraceEvent, 'kind'> & ('t' | 'host' | 'file' | 'line' | 'thread')
>;

type Made<K extends EventKind> = Bare<K> | readonly Bare<K>[];

/** One format of a trace event, and what is made of its fields. */
interface Form {
  readonly steps: readonly Step[];
  /** Gets the fields of the format; those that it does not have are `undefined`. */
  // biome-ignore lint/suspicious/noExplicitAny: `as` has checked the types of the fields.
  readonly make: (log: LogMemory, ...fields: any[]) => Made<EventKind>;
}

/** How the lines of one trace event of QEMU are read. */
export interface Row {
  /** Name of the trace event. */
  readonly name: string;
  /** Kinds of event that its lines can give. */
  readonly kinds: readonly EventKind[];
  /** The line is read even when nobody listens to its kinds: it tells how to read other lines. */
  readonly always: boolean;
  /** Formats of the versions; the first that fits is taken. */
  readonly forms: readonly Form[];
}

/** A row in the making: `as` adds a format. */
class RowBuilder<K extends EventKind> implements Row {
  readonly name: string;
  readonly kinds: readonly K[];
  always = false;
  readonly forms: Form[] = [];

  constructor(name: string, kinds: readonly K[]) {
    this.name = name;
    this.kinds = kinds;
  }

  /** Lines with this format (see `qemu-log-format.ts`) give what `make` returns; an empty array is nothing. */
  as<F extends string>(format: F, make: (log: LogMemory, ...fields: Fields<F>) => Made<K>): this {
    this.forms.push({ steps: compileFormat(format), make });
    return this;
  }

  /** The lines are read also when nobody listens to their kinds. */
  alwaysRead(): this {
    this.always = true;
    return this;
  }
}

/** Begins the row of a trace event that gives events of these kinds. */
export function row<K extends EventKind>(name: string, ...kinds: K[]): RowBuilder<K> {
  return new RowBuilder(name, kinds);
}

/** Kinds whose events need nothing but their device. */
type DeviceKind =
  | 'init_data_sent'
  | 'save_config'
  | 'save_cleanup'
  | 'load_config_start'
  | 'load_config_end'
  | 'load_thread_start'
  | 'load_buffers_done'
  | 'load_thread_end'
  | 'load_cleanup';

/** A trace event that shows its device and nothing else. */
export function deviceRow(name: string, kind: DeviceKind): Row {
  return row(name, kind).as('%D', (_, device) => ({ kind, device }));
}

/** Kinds whose events need nothing. */
type HostKind =
  | 'vm_reset'
  | 'migration_cancel'
  | 'source_setup'
  | 'return_path_opened'
  | 'precopy_complete'
  | 'source_thread_end'
  | 'source_cleanup'
  | 'postcopy_start'
  | 'destination_setup'
  | 'destination_cleanup';

/** A trace event without arguments. */
export function hostRow(name: string, kind: HostKind): Row {
  return row(name, kind).as('', () => ({ kind }));
}
