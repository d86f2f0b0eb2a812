import { VHOST_LOG_PAGE } from '../uapi/vhost-log.js';
import type { Write } from './vhost-log-pages.js';

/** What can be broken, each the business of one rule. */
export type Law =
  // A page that was written is in no reading, by what was written.
  | 'buffer'
  | 'partly'
  | 'crossing'
  | 'used'
  | 'wrapped'
  | 'used_idx'
  | 'used_flags'
  | 'avail_event'
  | 'desc'
  | 'device_event'
  | 'alias'
  | 'changed'
  | 'new_log'
  | 'old_log'
  // The same, by the fault of the VMM.
  | 'old_log_unread'
  | 'ungated'
  | 'no_log'
  // Other laws.
  | 'overrun'
  | 'short_log'
  | 'log_size'
  | 'extra'
  | 'late_mark'
  | 'idle_write'
  | 'early_final'
  | 'not_collected'
  | 'gates_left';

/** What readings have shown since logging began. */
export interface Readings {
  /** How often the log was replaced. */
  epoch: number;
  /** Readings since it was replaced last. */
  readsSinceSwap: number;
  /** Number of the earliest write since then that was found. */
  firstFound: number;
  /** Rings and kinds of write that were found at all. */
  readonly marked: Set<string>;
}

/**
 * Which law a page breaks that is missing after the last reading.
 * @param passing writes of its ring and kind are not missing for good
 */
export function lawOfMiss(write: Write, page: number, readings: Readings, passing: boolean): Law {
  const { what, unlogged, epoch, serial, index, first, last, length } = write;
  if (unlogged) return unlogged;
  if (epoch < readings.epoch) return readings.readsSinceSwap < 2 ? 'old_log_unread' : 'old_log';
  if (
    passing &&
    readings.epoch > 0 &&
    serial < readings.firstFound &&
    readings.marked.has(`${index} ${what}`)
  )
    return 'new_log';
  if (write.twin?.found) return 'alias';
  switch (what) {
    case 'unknown':
      return 'changed';
    case 'used':
      return write.wrapped ? 'wrapped' : 'used';
    case 'buffer':
      if (first === last || !write.found) return 'buffer';
      return length <= VHOST_LOG_PAGE && page === last ? 'crossing' : 'partly';
    default:
      return what;
  }
}

/** A page as people find it: its number, and where it begins. */
export function pageWords(page: number): string {
  return `page 0x${page.toString(16)} (guest physical address 0x${(page * VHOST_LOG_PAGE).toString(16)})`;
}
