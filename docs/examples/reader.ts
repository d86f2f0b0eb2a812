import type { TraceEvent } from '../../src/trace/event.js';
import type { Reader } from '../../src/trace/reader.js';
import {
  firstLines,
  kinds,
  type LinePlace,
  type LineResult,
  lineParser,
} from '../../src/trace/readers/line-parser.js';
import { MIG_STATES } from '../../src/uapi/vfio.js';

/** `12.500000 acme 0000:3b:00.1: set_state PRE_COPY = 0`; a failed request ends in a negative errno. */
const SET_STATE = /^(\d{1,9}\.\d{6}) acme (\S{1,64}): set_state (\w{1,16}) = (0|-\d{1,3})$/;
/** Every line of the driver's own. */
const OURS = /^\d{1,9}\.\d{6} acme \S{1,64}: /;

function read(text: string, place: LinePlace): LineResult {
  if (!OURS.test(text)) return []; // Somebody else's line: it is counted as ignored.
  const [, seconds, device, name, result] = SET_STATE.exec(text) ?? [];
  const state = MIG_STATES.find((each) => each === name);
  if (device === undefined || state === undefined) return undefined; // Ours, and not readable: malformed.
  const on = { ...place, t: Math.round(Number(seconds) * 1e6), device };
  const errno = -Number(result) || 0;
  // Where a failed request left the device does not stand in the line, so it is not said.
  const answer: TraceEvent = { kind: 'set_state_result', ...on, errno, ...(errno === 0 ? { state } : {}) };
  return [{ kind: 'set_state', ...on, state }, answer];
}

/** The log of the imaginary driver acme. */
export const acmeLogReader: Reader = {
  format: 'acme-log',
  title: 'log of the acme driver',
  shows: kinds('set_state', 'set_state_result'),
  detect: (head) => (firstLines(head, 20).some((line) => OURS.test(line)) ? 0.8 : 0),
  open: (context) => lineParser(context, read),
};
