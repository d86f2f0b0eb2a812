import { closeSync, openSync, writeSync } from 'node:fs';
import type { EventSink } from '../../migrate/chronicle.js';
import type { EventKind, TraceEvent } from '../../trace/event.js';
import { EVENT_KINDS } from '../../trace/event-kinds.js';
import { ndjsonHead, ndjsonLine } from '../../trace/writer.js';
import { UsageError } from '../exit.js';

/** Kinds that only the inside of a kernel, or a VMM that is not ours, shows. */
const NOT_OURS: readonly EventKind[] = [
  'driver_request',
  'driver_arc',
  'next_hop',
  'feature_probe',
  'get_state',
  'vm_reset',
  'switchover_ack_needed',
  'migration_info',
];
const SHOWS = new Set(EVENT_KINDS.filter((kind) => !NOT_OURS.includes(kind)));
const BLOCK = 1 << 16;

/** A file of canonical events, for its owner only. What was written is there also when the process is killed. */
export class Recording {
  readonly #fd: number;
  #lines = '';

  /** @throws UsageError when the file cannot be written */
  constructor(file: string) {
    try {
      this.#fd = openSync(file, 'w', 0o600);
    } catch (error) {
      throw new UsageError(`cannot write ${file}: ${(error as NodeJS.ErrnoException).code}`);
    }
    this.#lines = ndjsonHead({ shows: SHOWS });
  }

  readonly sink: EventSink = (event: TraceEvent) => {
    this.#lines += ndjsonLine(event);
    // A change of where the VM runs is on disk before anything follows from it.
    if (this.#lines.length > BLOCK || event.kind === 'run_state') this.flush();
  };

  flush(): void {
    if (this.#lines !== '') writeSync(this.#fd, this.#lines);
    this.#lines = '';
  }

  close(): void {
    this.flush();
    closeSync(this.#fd);
  }
}

/** Events of several recordings in the order of their time; a line that was cut is left out. */
export function mergedEvents(texts: readonly string[]): string {
  const events = texts.flatMap((text) => text.split('\n').slice(1).flatMap(parsed));
  events.sort((a, b) => (a.t ?? 0) - (b.t ?? 0));
  return ndjsonHead({ shows: SHOWS }) + events.map(ndjsonLine).join('');
}

function parsed(line: string): TraceEvent[] {
  try {
    return line === '' ? [] : [JSON.parse(line) as TraceEvent];
  } catch {
    return [];
  }
}
