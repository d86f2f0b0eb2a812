import { MIG_STATES, type MigState } from '../uapi/vfio.js';

/**
 * What the inputs are about: requests (SET of MIG_DEVICE_STATE and VFIO_DEVICE_RESET), the data transfer
 * session (the data_fd that was given last), device DMA logging.
 */
export const INPUT_GROUPS = ['request', 'session', 'logging'] as const;
export type InputGroup = (typeof INPUT_GROUPS)[number];

/** The data that a WRITE writes: an image of the device's own, that with its first byte changed, or its first half. */
export type ImageKind = 'own' | 'damaged' | 'half';

/** What is called. The session's calls go to the data_fd that was given last. */
export type InputCall =
  | { readonly do: 'set'; readonly state: MigState | number }
  /** In traces the image is not known: it is whatever its user had. */
  | { readonly do: 'write'; readonly image: ImageKind | 'unknown' }
  | {
      readonly do:
        | 'reset'
        | 'get'
        | 'read'
        | 'precopy_info'
        | 'close'
        | 'data_size'
        | 'log_start'
        | 'log_stop'
        | 'log_report';
    };

/** Whether a call goes to the data_fd that was given last. */
export function asksFd(call: InputCall): boolean {
  return call.do === 'read' || call.do === 'write' || call.do === 'precopy_info' || call.do === 'close';
}

/** An input of words that are put to a device. */
export interface Input {
  /** As machines and reports spell it, such as `SET STOP_COPY`. */
  readonly name: string;
  readonly group: InputGroup;
  readonly call: InputCall;
}

/** The inputs of words, and whether GET of MIG_DEVICE_STATE is asked after each of them. */
export interface Alphabet {
  readonly inputs: readonly Input[];
  readonly status: boolean;
}

/** The name of the status input. */
export const STATUS_INPUT = 'GET';

/**
 * Outputs beside names of states and of error numbers.
 *
 * READ reads to the end, in as many read()s as it takes, so that lengths of data make no states: what ended
 * it is its output, and in STOP_COPY whether there was data.
 */
export const OUTPUTS = {
  /** Done. */
  ok: 'ok',
  /** Done, with a new data_fd. */
  dataFd: 'data_fd',
  /** Done; whether with a new data_fd the trace does not tell. */
  success: 'success',
  /** Data, and then the permanent end. */
  dataEnd: 'data, end',
  /** The permanent end, and no data before it. */
  end: 'end',
  /** The temporary end, with data before it or without. */
  temporaryEnd: 'ENOMSG',
  /** More data than is read. */
  endless: 'endless',
  /** write() takes nothing, and gives no error. */
  takesNothing: 'takes nothing',
  /** Precopy info with VFIO_PRECOPY_INFO_REINIT. */
  reinit: 'ok, REINIT',
  /** There is no data_fd that could be asked: nothing was put to the device. */
  noDataFd: 'no data_fd',
  /** The call has not returned in its time; the device cannot be asked any more. */
  noAnswer: 'no answer',
  /** The call ended in what is no answer of a device, such as a lost connection. */
  broken: 'broken',
  /** An error number; in expectations: whichever. */
  errno: 'errno',
} as const;

/** A number that is no state, and stands for all: the one behind the last. */
export const OUT_OF_RANGE = MIG_STATES.length;

const input = (group: InputGroup, name: string, call: InputCall): Input => ({ name, group, call });

/** All inputs of words. */
const INPUTS: readonly Input[] = [
  ...[...MIG_STATES, OUT_OF_RANGE].map((state) => input('request', `SET ${state}`, { do: 'set', state })),
  input('request', 'RESET', { do: 'reset' }),
  input('session', 'READ', { do: 'read' }),
  input('session', 'WRITE', { do: 'write', image: 'own' }),
  input('session', 'WRITE damaged', { do: 'write', image: 'damaged' }),
  input('session', 'WRITE half', { do: 'write', image: 'half' }),
  input('session', 'PRECOPY_INFO', { do: 'precopy_info' }),
  input('session', 'DATA_SIZE', { do: 'data_size' }),
  input('session', 'CLOSE', { do: 'close' }),
  input('logging', 'LOG_START', { do: 'log_start' }),
  input('logging', 'LOG_REPORT', { do: 'log_report' }),
  input('logging', 'LOG_STOP', { do: 'log_stop' }),
];

/** Which inputs words are made of. */
export interface AlphabetOptions {
  /** Default: requests only. */
  readonly groups?: readonly InputGroup[];
  /** Ask GET after each input; default true. */
  readonly status?: boolean;
  /** Names of inputs that are left out. */
  readonly without?: readonly string[];
}

/**
 * The inputs of some groups. `WRITE damaged` and `WRITE half` are not among them unless `damaged` asks for them.
 * @throws RangeError when nothing is left
 */
export function alphabetOf(options: AlphabetOptions & { damaged?: boolean } = {}): Alphabet {
  const { groups = ['request'], status = true, without = [], damaged = false } = options;
  const inputs = INPUTS.filter(
    ({ name, group, call }) =>
      groups.includes(group) &&
      !without.includes(name) &&
      (damaged || call.do !== 'write' || call.image === 'own'),
  );
  if (inputs.length === 0) throw new RangeError('no input is left to learn a machine with');
  return { inputs, status };
}

/** The names of a machine's inputs: those of words, and the status input as the last one. */
export function inputNames({ inputs, status }: Alphabet): string[] {
  return [...inputs.map(({ name }) => name), ...(status ? [STATUS_INPUT] : [])];
}

/** The inputs of recorded calls, in the order of the inputs of words. */
export function recordedAlphabet(calls: Iterable<readonly [name: string, call: InputCall]>): Alphabet {
  const recorded = new Map(calls);
  const inputs = INPUTS.flatMap((each) => {
    const call = recorded.get(each.name);
    return call === undefined ? [] : [{ ...each, call }];
  });
  return { inputs, status: true };
}

/**
 * The alphabet that a machine was learned with, from the names of its inputs.
 * @throws RangeError for a name that is no input's
 */
export function alphabetNamed(names: readonly string[]): Alphabet {
  const inputs = names.filter((name) => name !== STATUS_INPUT).map(inputNamed);
  return { inputs, status: names.includes(STATUS_INPUT) };
}

function inputNamed(name: string): Input {
  const found = INPUTS.find((each) => each.name === name);
  if (found !== undefined) return found;
  throw new RangeError(`no input is called ${name}; there are ${INPUTS.map((each) => each.name).join(', ')}`);
}
