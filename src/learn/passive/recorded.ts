import type { MigState } from '../../uapi/vfio.js';
import type { InputCall } from '../alphabet.js';

/** Where a trace has a call: the file and its line, or byte offset in a binary one; null where it has no lines. */
export interface Place {
  readonly file: string | null;
  readonly line: number | null;
}

/** A call that a trace shows, with its answer. */
export interface RecordedCall {
  /** The input as machines spell it, such as `SET STOP_COPY`. */
  readonly input: string;
  readonly call: InputCall;
  /** As `OUTPUTS` has it, or the name of an error number. */
  output: string;
  /** The state after it, where the trace tells it. */
  state: MigState | null;
  readonly place: Place;
}

/** Calls of one device in their order. */
export interface RecordedWord {
  readonly device: string;
  /** Whether it begins where the device was opened; if not, in the middle: nothing is known of what was before. */
  readonly opened: boolean;
  /** The state in which it begins, where the trace tells it. */
  begins: MigState | null;
  readonly calls: RecordedCall[];
}
