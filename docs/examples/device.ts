import { type Profile, type Report, validateEvents } from '../../src/index.js';
import { ndjsonHead, ndjsonLine, type TraceEvent } from '../../src/trace/index.js';

const on = { host: 'lab', device: 'acme0' };

/** What a test of the driver asked for, and what it got, in the vocabulary of traces. */
export const run: readonly TraceEvent[] = [
  { kind: 'device_open', ...on },
  { kind: 'capabilities', ...on, flags: 7 },
  { kind: 'set_state', ...on, state: 'PRE_COPY' },
  { kind: 'set_state_result', ...on, state: 'PRE_COPY', errno: 0, dataFd: true },
  { kind: 'precopy_info', ...on, initial: 4096, dirty: 0, errno: 0 },
  { kind: 'data_read', ...on, size: 65536, result: 4096 },
  { kind: 'data_read', ...on, size: 65536, result: 0 },
  { kind: 'set_state', ...on, state: 'STOP_COPY' },
  { kind: 'set_state_result', ...on, state: 'STOP_COPY', errno: 0, dataFd: false },
  { kind: 'data_read', ...on, size: 65536, result: 512 },
  { kind: 'data_read', ...on, size: 65536, result: 0 },
  { kind: 'set_state', ...on, state: 'STOP' },
  { kind: 'set_state_result', ...on, state: 'STOP', errno: 0, dataFd: false },
];

/** The run as a file for `stopcopy validate`. The head says what the test looked at. */
export const ndjson: string =
  ndjsonHead({ shows: new Set(run.map(({ kind }) => kind)) }) + run.map(ndjsonLine).join('');

/** The verdict; with the name of a profile, what that implementation is known for is a note. */
export function judge(profile = 'uapi'): Report {
  return validateEvents(run, { profile });
}

/** How acme differs from the uAPI, by rule: the entry for `PROFILES` in `src/machines/profiles.ts`. */
export const acme: Profile = {
  name: 'acme',
  title: 'acme_vfio_pci',
  deviations: { 'VFIO-PRE-01': 'reads at the temporary end of PRE_COPY data give 0' },
};
