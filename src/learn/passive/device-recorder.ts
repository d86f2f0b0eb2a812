import type { EventKind, EventOf, TraceEvent } from '../../trace/event.js';
import { ERRNO, errnoName } from '../../uapi/errno.js';
import type { MigState } from '../../uapi/vfio.js';
import { asksFd, type InputCall, OUT_OF_RANGE, OUTPUTS } from '../alphabet.js';
import type { RecordedWord } from './recorded.js';

type Handlers = { readonly [K in EventKind]?: (recorder: DeviceRecorder, event: EventOf<K>) => void };

/** Takes the events of one device, and makes words of calls and answers of them. */
export class DeviceRecorder {
  readonly words: RecordedWord[] = [];
  /** VFIO_DEVICE_FEATURE_MIGRATION flags, when the trace has them. */
  flags: number | undefined;
  /** Calls of which the trace does not tell how they ended. */
  unanswered = 0;
  /** Calls to a data_fd that is closed or whose session is over: which one does not show. */
  onOldFds = 0;
  #word: RecordedWord;
  #pending: EventOf<'set_state'> | null = null;
  /** GET has told the state, and nothing was called since. */
  #asked = false;
  /** Reads came since the last other call, and none has reached the end. */
  #reading = false;
  /** Writes that have succeeded came last. */
  #writing = false;

  constructor(readonly device: string) {
    this.#word = { device, opened: false, begins: null, calls: [] };
  }

  take(event: TraceEvent): void {
    const handler = HANDLERS[event.kind] as ((of: DeviceRecorder, event: TraceEvent) => void) | undefined;
    handler?.(this, event);
  }

  /** The words so far; a call without an answer ends the last one. */
  end(): RecordedWord[] {
    this.#lose();
    this.#begin(false, null);
    return this.words;
  }

  opened(): void {
    this.#pending = null;
    this.#begin(true, null);
  }

  asks(event: EventOf<'set_state'>): void {
    this.#lose();
    this.#pending = event;
  }

  answers(event: EventOf<'set_state_result'>): void {
    const asked = this.#pending?.state ?? event.state;
    this.#pending = null;
    if (asked === undefined) {
      this.#begin(false, event.state ?? null);
      return;
    }
    const { errno, state } = event;
    // Of numbers that are no states a trace may hold as many as it likes.
    const target = typeof asked === 'string' ? asked : OUT_OF_RANGE;
    const input = `SET ${target}`;
    const call: InputCall = { do: 'set', state: target };
    if (errno) this.#add(event, input, call, errnoName(errno), state ?? null);
    // A VMM that went to its recover state: the request has failed, and how does not show.
    else if (errno === undefined && state !== undefined && state !== asked) this.#begin(false, state);
    else this.#add(event, input, call, grantOf(event), state ?? (typeof asked === 'string' ? asked : null));
  }

  tells({ state, errno }: EventOf<'get_state'>): void {
    if (errno || state === undefined) return;
    const last = this.#word.calls.at(-1);
    const known = last === undefined ? this.#word.begins : last.state;
    // It has left the state by itself.
    if (this.#asked && known !== null && known !== state) {
      this.#begin(false, state);
      return;
    }
    this.#asked = true;
    if (last === undefined) this.#word.begins = state;
    else last.state = state;
  }

  /** A reset of which only that it was asked for is seen: what GET says then is known. */
  resets(event: EventOf<'reset'>): void {
    if (event.offered === false) return;
    if (event.errno === undefined) this.#begin(false, null);
    else this.#called(event, 'RESET', { do: 'reset' });
  }

  reads(event: EventOf<'data_read'>): void {
    if (event.size === 0) return;
    const had = this.#reading;
    if (event.result > 0) {
      this.#reading = true;
      this.#writing = false;
      return;
    }
    const output =
      event.result === 0
        ? had
          ? OUTPUTS.dataEnd
          : OUTPUTS.end
        : event.result === -ERRNO.ENOMSG!
          ? OUTPUTS.temporaryEnd
          : errnoName(-event.result);
    this.#add(event, 'READ', { do: 'read' }, output, null);
  }

  writes(event: EventOf<'data_write'>): void {
    const ok = event.result >= 0;
    if (ok && this.#writing) return;
    const output = ok ? OUTPUTS.ok : errnoName(-event.result);
    this.#add(event, 'WRITE', { do: 'write', image: 'unknown' }, output, null);
    this.#writing = ok;
  }

  closes(event: EventOf<'data_close'>): void {
    this.#add(event, 'CLOSE', { do: 'close' }, OUTPUTS.ok, null);
  }

  preCopyInfo(event: EventOf<'precopy_info'>): void {
    const output = event.reinit ? OUTPUTS.reinit : OUTPUTS.ok;
    this.#called(event, 'PRECOPY_INFO', { do: 'precopy_info' }, output);
  }

  dataSize(event: EventOf<'data_size'>): void {
    const errno = event.errno ?? (event.bytes === undefined ? undefined : 0);
    this.#called({ ...event, errno }, 'DATA_SIZE', { do: 'data_size' });
  }

  /** A call that tells by its errno how it ended; where that is not known, what comes after it is a new word. */
  #called(
    event: TraceEvent & { errno?: number | undefined },
    input: string,
    call: InputCall,
    output: string = OUTPUTS.ok,
  ): void {
    if (event.errno === undefined) {
      this.unanswered++;
      // Questions change nothing.
      if (call.do !== 'precopy_info' && call.do !== 'data_size') this.#begin(false, null);
      return;
    }
    this.#add(event, input, call, event.errno === 0 ? output : errnoName(event.errno), null);
  }

  log(event: TraceEvent & { errno?: number | undefined }, call: 'log_start' | 'log_stop' | 'log_report') {
    this.#called(event, call.toUpperCase(), { do: call });
  }

  #add(event: TraceEvent, input: string, call: InputCall, output: string, state: MigState | null): void {
    this.#lose();
    if (asksFd(call) && (output === 'EBADF' || output === 'ENODEV')) {
      this.onOldFds++;
      return;
    }
    const { file = null, line = null } = event as { file?: string; line?: number };
    this.#word.calls.push({ input, call, output, state, place: { file, line } });
    this.#asked = false;
    this.#reading = false;
    this.#writing = false;
  }

  /** A request has had no answer. For the state that the device is in, a VMM logs none. */
  #lose(): void {
    if (this.#pending === null) return;
    const { state } = this.#pending;
    this.#pending = null;
    const last = this.#word.calls.at(-1);
    if (state === (last === undefined ? this.#word.begins : last.state)) return;
    this.unanswered++;
    this.#begin(false, null);
  }

  #begin(opened: boolean, begins: MigState | null): void {
    if (this.#word.calls.length > 0) this.words.push(this.#word);
    this.#word = { device: this.device, opened, begins, calls: [] };
    this.#asked = false;
    this.#reading = false;
    this.#writing = false;
  }
}

function grantOf({ dataFd }: EventOf<'set_state_result'>): string {
  if (dataFd === undefined) return OUTPUTS.success;
  return dataFd ? OUTPUTS.dataFd : OUTPUTS.ok;
}

const HANDLERS: Handlers = {
  capabilities: (recorder, { flags }) => {
    recorder.flags = flags ?? recorder.flags;
  },
  device_open: (recorder) => recorder.opened(),
  set_state: (recorder, event) => recorder.asks(event),
  set_state_result: (recorder, event) => recorder.answers(event),
  get_state: (recorder, event) => recorder.tells(event),
  reset: (recorder, event) => recorder.resets(event),
  data_read: (recorder, event) => recorder.reads(event),
  data_write: (recorder, event) => recorder.writes(event),
  data_close: (recorder, event) => recorder.closes(event),
  precopy_info: (recorder, event) => recorder.preCopyInfo(event),
  data_size: (recorder, event) => recorder.dataSize(event),
  dma_logging_start: (recorder, event) => recorder.log(event, 'log_start'),
  dma_logging_stop: (recorder, event) => recorder.log(event, 'log_stop'),
  dma_logging_report: (recorder, event) => recorder.log(event, 'log_report'),
};

/** The kinds of event that words are made of. */
export const RECORDED_KINDS = Object.keys(HANDLERS) as readonly EventKind[];
