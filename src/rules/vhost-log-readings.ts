import type { EventOf } from '../trace/event.js';
import type { BackEnd, Laws } from './vhost-log-back-end.js';
import { type Law, lawOfMiss, pageWords } from './vhost-log-blame.js';
import { gateWords } from './vhost-log-device.js';
import type { Write } from './vhost-log-pages.js';

/** Most pages of one reading that get a finding of their own for one law, and that are looked at one by one. */
const MAX_PAGE_FINDINGS = 64;
const MAX_LOOKS = 1 << 16;

/** The last reading: what is still waited for is lost. */
export function takeFinal(laws: Laws, backEnd: BackEnd, event: EventOf<'vhost_log_read'>): void {
  const { state, waiting, readings, tried } = backEnd;
  if (state.ran.size > 0) {
    laws.check('early_final');
    if (state.running.size > 0) {
      backEnd.early ??= { event, rings: [...state.running].slice(0, 8) };
      return;
    }
  }
  laws.check(...tried);
  if (readings.epoch > 0) laws.check('old_log', 'old_log_unread');
  const left = [...waiting];
  // A group that is also missing behind what was found is not missing for the log that was replaced.
  const lasting = new Set<string>();
  for (const [, write] of left)
    if (write.serial > readings.firstFound) lasting.add(`${write.index} ${write.what}`);
  const counts = new Map<Law, number>();
  for (const [page, write] of left) {
    const isLasting = lasting.has(`${write.index} ${write.what}`);
    const law = lawOfMiss(write, page, readings, !isLasting);
    const count = (counts.get(law) ?? 0) + 1;
    counts.set(law, count);
    if (count <= MAX_PAGE_FINDINGS)
      laws.fail(law, event, backEnd, missWords(page, write), [`the bit of page 0x${page.toString(16)}`]);
  }
  for (const [law, count] of counts)
    if (count > MAX_PAGE_FINDINGS)
      laws.fail(
        law,
        event,
        backEnd,
        `${count - MAX_PAGE_FINDINGS} more pages are missing in the same reading`,
      );
  waiting.clear();
  tried.clear();
  if (backEnd.quiet) backEnd.quiet.final = true;
}

/** Tells of a final reading that came while rings ran, once the trace is over. */
export function tellEarly(laws: Laws, backEnd: BackEnd): void {
  if (!backEnd.early || !backEnd.stops) return;
  const { event, rings } = backEnd.early;
  const message = `the log is read for the last time, and of its rings there run: ${rings.join(', ')}`;
  laws.fail('early_final', event, backEnd, message);
}

/** What is marked after the rings have stopped, and was not there before. */
export function takeLate(
  laws: Laws,
  all: Iterable<BackEnd>,
  backEnd: BackEnd,
  { pages, ...event }: EventOf<'vhost_log_read'>,
): void {
  const { quiet, readings } = backEnd;
  if (!quiet) return;
  // A log that is shared has the bits of others; one that was replaced may be read beside the new one.
  const loggers = [...all].filter(({ state }) => state.log === 'given' && state.via !== 'vdpa');
  if (loggers.length > 1 || (readings.epoch > 0 && readings.readsSinceSwap <= quiet.reads)) return;
  if (quiet.reads > 1) laws.check('late_mark');
  let looks = 0;
  for (const [first, count] of pages)
    for (let page = first; page < first + count && looks < MAX_LOOKS; page++, looks++) {
      if (quiet.final || quiet.seen.has(page)) {
        const message = `${pageWords(page)} is in a reading of the log again, and no ring has run since the last one`;
        laws.fail('late_mark', { ...event, pages }, backEnd, message);
        return;
      }
      if (quiet.seen.size < MAX_LOOKS) quiet.seen.add(page);
    }
}

/** Bits of pages that nobody was seen to write. */
export function takeExtra(
  laws: Laws,
  all: Iterable<BackEnd>,
  written: ReadonlySet<number> | null,
  backEnd: BackEnd,
  event: EventOf<'vhost_log_read'>,
): void {
  const { state, readings } = backEnd;
  if (written === null || !backEnd.tellsWrites || !state.opened || state.iotlb) return;
  for (const each of all)
    if (each.state.via !== 'vdpa' && each.state.log === 'given' && !(each.tellsWrites && each.state.opened))
      return;
  if (readings.marked.size === 0 && event.pages.length === 0) return;
  laws.check('extra');
  let looks = 0;
  for (const [first, count] of event.pages)
    for (let page = first; page < first + count && looks < MAX_LOOKS; page++, looks++)
      if (!written.has(page)) {
        laws.fail('extra', event, backEnd, `${pageWords(page)} has its bit, and nobody was seen to write it`);
        return;
      }
}

/** A bit was to be set where the log has none. */
export function takeOverrun(laws: Laws, backEnd: BackEnd, event: EventOf<'vhost_log_overrun'>): void {
  const { state } = backEnd;
  const { page } = event;
  const isMemory = page !== undefined && (state.isMemory(page) === true || page < (state.pagesNeeded ?? 0));
  const what = page === undefined ? 'a bit' : `the bit of ${pageWords(page)}`;
  // Only the VMM of kernel vhost knows how long the log is.
  if (isMemory && state.via === 'kernel') {
    laws.fail(
      'short_log',
      event,
      backEnd,
      `${what} is behind the end of the log, and the page is guest memory`,
    );
  } else laws.fail('overrun', event, backEnd, `${what} was set outside of the log`);
}

function missWords(page: number, write: Write): string {
  const { what, index, address, length, logAll, flag, unlogged } = write;
  const who = index === undefined ? 'the back end' : `ring ${index}`;
  const where = typeof address === 'number' ? `0x${address.toString(16)}` : address;
  const why =
    unlogged === 'no_log'
      ? 'there was no log'
      : unlogged === 'ungated'
        ? 'its switch was off'
        : 'no reading of the log has it since';
  return `${pageWords(page)} was written by ${who} (${what}, ${length} bytes at ${where}), and ${why}; ${gateWords(logAll, index, flag)}`;
}
