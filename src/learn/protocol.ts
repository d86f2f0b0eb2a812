import type { Mealy } from '../automaton/index.js';
import type { CapabilitySet } from '../machines/index.js';
import { CaseModel, type Step } from '../suite/index.js';
import { ERRNO } from '../uapi/errno.js';
import { MIG_STATES, type MigState } from '../uapi/vfio.js';
import { type Alphabet, asksFd, type Input, inputNames, OUTPUTS } from './alphabet.js';

/** An answer that the protocol allows. */
export interface Allowed {
  /** The output; `errno` stands for every error number, but for ENOMSG where READ is answered. */
  readonly output: string;
  /** What GET says then; null where GET is not asked, or nothing is said of it. */
  readonly status: MigState | null;
}

/**
 * What the protocol allows a device to answer, as an automaton of its own: where the protocol leaves a
 * choice, an input has several answers, and each leads to a state of its own. The states are numbers.
 */
export interface Expectation {
  readonly alphabet: Alphabet;
  /** The state in which words begin. */
  readonly initial: number;
  /** The state in words, such as `STOP_COPY, saving`. */
  describe(state: number): string;
  /** The answers that are allowed, the likeliest first. */
  allowed(state: number, input: string): readonly Allowed[];
  /** Whether an answer is allowed. @param status what GET said after it, null where it was not asked */
  accepts(state: number, input: string, output: string, status?: string | null): boolean;
  /** The state after an answer; of one that is not allowed, what the answer itself makes of the device. */
  follow(state: number, input: string, output: string, status?: string | null): number;
}

/**
 * What the machines of the protocol (`vfio-device`, `dma-logging`) and their session want of a device.
 * @param caps what the device offers
 * @param alphabet inputs that are put to it
 */
export function protocolExpectation(caps: CapabilitySet, alphabet: Alphabet): Expectation {
  return new ProtocolExpectation(caps, alphabet);
}

/**
 * The protocol as a machine over an alphabet: of answers that are left to the device, the likeliest one. What
 * is compared with a device is not this but `protocolExpectation`, which knows the others.
 */
export function protocolMachine(caps: CapabilitySet, alphabet: Alphabet): Mealy {
  const expectation = new ProtocolExpectation(caps, alphabet);
  const { inputs, status } = alphabet;
  const outputs: string[] = [];
  const numberOf = (output: string) => {
    const known = outputs.indexOf(output);
    return known >= 0 ? known : outputs.push(output) - 1;
  };
  const states = [expectation.initial];
  const next: number[] = [];
  const output: number[] = [];
  for (const state of states) {
    for (const { name } of inputs) {
      const likeliest = expectation.allowed(state, name)[0]!;
      const to = expectation.follow(state, name, likeliest.output, likeliest.status);
      if (!states.includes(to)) states.push(to);
      next.push(states.indexOf(to));
      output.push(numberOf(likeliest.output));
    }
    if (!status) continue;
    next.push(states.indexOf(state));
    output.push(numberOf(expectation.stateOf(state)));
  }
  return {
    name: 'vfio-device',
    states: states.map((state) => expectation.describe(state)),
    inputs: inputNames(alphabet),
    outputs,
    next: Int16Array.from(next),
    output: Int16Array.from(output),
  };
}

/** Bytes of the image in the model: what counts is whether all of it was written, or its first half. */
const IMAGE_LENGTH = 2;

/** A state: every model that the answers so far leave possible; more than one only where GET is not asked. */
type Models = readonly CaseModel[];

/** An outcome as the model names it, and as a device shows it. */
interface Outcome extends Allowed {
  readonly label: string;
}

class ProtocolExpectation implements Expectation {
  readonly initial: number;
  readonly #states: Models[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #inputs: ReadonlyMap<string, Input>;
  readonly #asksFds: boolean;

  constructor(
    caps: CapabilitySet,
    readonly alphabet: Alphabet,
  ) {
    this.#inputs = new Map(alphabet.inputs.map((each) => [each.name, each]));
    this.#asksFds = alphabet.inputs.some(({ call }) => asksFd(call));
    this.initial = this.#numberOf([new CaseModel(caps, IMAGE_LENGTH)]);
  }

  describe(state: number): string {
    return [...new Set(this.#states[state]!.map(modelText))].join(' or ');
  }

  /** The migration state of the first model. */
  stateOf(state: number): MigState {
    return this.#states[state]![0]!.state;
  }

  allowed(state: number, input: string): readonly Allowed[] {
    const found = new Map<string, Allowed>();
    for (const model of this.#states[state]!)
      for (const { output, status } of this.#outcomes(model, this.#input(input)))
        found.set(`${output} ${status}`, { output, status });
    return [...found.values()];
  }

  accepts(state: number, input: string, output: string, status: string | null = null): boolean {
    return this.#after(state, input, output, status).length > 0;
  }

  follow(state: number, input: string, output: string, status: string | null = null): number {
    const after = this.#after(state, input, output, status);
    if (after.length > 0) return this.#numberOf(after);
    const call = this.#input(input);
    return this.#numberOf(this.#states[state]!.map((model) => believed(model, call, output, status)));
  }

  #input(name: string): Input {
    const input = this.#inputs.get(name);
    if (input === undefined) throw new RangeError(`no input of the alphabet is called ${name}`);
    return input;
  }

  /** The models after an answer: of those to which it is allowed. */
  #after(state: number, name: string, output: string, status: string | null): CaseModel[] {
    const input = this.#input(name);
    return this.#states[state]!.flatMap((model) =>
      this.#outcomes(model, input)
        .filter((outcome) => shows(outcome, input, output, status))
        .map(({ label }) => taken(model, input, label)),
    );
  }

  #outcomes(model: CaseModel, input: Input): Outcome[] {
    const { status } = this.alphabet;
    const outcomes = outcomesOf(model, input);
    return status ? outcomes : outcomes.map((each) => ({ ...each, status: null }));
  }

  #numberOf(all: readonly CaseModel[]): number {
    const models = all.map((model) => forgetful(model, this.#asksFds));
    const texts = models.map(modelKey);
    const distinct = models.filter((_, at) => texts.indexOf(texts[at]!) === at);
    const key = [...new Set(texts)].sort().join('\n');
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    this.#numbers.set(key, this.#states.length);
    return this.#states.push(distinct) - 1;
  }
}

const isErrno = (output: string): boolean => ERRNO[output] !== undefined;

/** Whether an outcome looks like this to whoever asks. */
function shows(outcome: Outcome, { call }: Input, output: string, status: string | null): boolean {
  if (outcome.status !== null && status !== null && outcome.status !== status) return false;
  if (outcome.output === output) return true;
  const isTemporaryEnd = call.do === 'read' && output === OUTPUTS.temporaryEnd;
  return outcome.output === OUTPUTS.errno && isErrno(output) && !isTemporaryEnd;
}

/** The data_fd that calls go to; null when there is none, or it was closed. */
function dataFdOf({ fds }: CaseModel) {
  const fd = fds.at(-1);
  return fd == null || fd.closed ? null : fd;
}

/** All that the protocol allows a device of this model to answer. */
function outcomesOf(model: CaseModel, input: Input): Outcome[] {
  if (asksFd(input.call) && dataFdOf(model) === null)
    return [{ label: OUTPUTS.noDataFd, output: OUTPUTS.noDataFd, status: model.state }];
  const labels = model.allowed(stepOf(model, input)) ?? [];
  return labels.flatMap((label) => {
    const status = taken(model, input, label).state;
    return outputsOf(model, label).map((output) => ({ label, output, status }));
  });
}

/** How an outcome of the model looks. */
function outputsOf(model: CaseModel, label: string): string[] {
  const [call, first, second] = label.split('.');
  if (call === 'SET') return [second === undefined ? OUTPUTS.ok : OUTPUTS.dataFd];
  if (call === 'FAIL') return [OUTPUTS.errno];
  if (label === 'READ.end') return dataFdOf(model)?.ended ? [OUTPUTS.end] : [OUTPUTS.dataEnd, OUTPUTS.end];
  if (label === 'READ.data') return [OUTPUTS.endless];
  if (label === 'READ.ENOMSG') return [OUTPUTS.temporaryEnd];
  if (label === 'PRECOPY_INFO.refused') return ['EINVAL', 'ENOTTY'];
  return [first === 'ok' ? OUTPUTS.ok : OUTPUTS.errno];
}

/** The outcome in the words of the model, whether it is allowed or not. */
function labelOf({ call }: Input, output: string, status: string | null): string {
  const failed = isErrno(output);
  switch (call.do) {
    case 'set': {
      const at = status ?? String(call.state);
      if (failed) return `FAIL.${call.state}.${status ?? '?'}`;
      return output === OUTPUTS.dataFd ? `SET.${at}.data_fd` : `SET.${at}`;
    }
    case 'read':
      return output === OUTPUTS.dataEnd || output === OUTPUTS.end ? 'READ.end' : 'READ.error';
    case 'get':
      return `GET.${output}`;
    default:
      return `${CALL_LABELS[call.do]}.${failed ? 'error' : 'ok'}`;
  }
}

const CALL_LABELS = {
  reset: 'RESET',
  write: 'WRITE',
  precopy_info: 'PRECOPY_INFO',
  close: 'CLOSE',
  data_size: 'DATA_SIZE',
  log_start: 'START',
  log_stop: 'STOP',
  log_report: 'REPORT',
} as const;

/** The model after an outcome. */
function taken(model: CaseModel, input: Input, label: string): CaseModel {
  const after = model.clone();
  if (label !== OUTPUTS.noDataFd) after.take(stepOf(model, input), label);
  return after;
}

/** The model after an answer that is not allowed, if the device is where it says. */
function believed(model: CaseModel, input: Input, output: string, status: string | null): CaseModel {
  const state = MIG_STATES.find((each) => each === status);
  const isSet = input.call.do === 'set';
  const says = output !== OUTPUTS.noDataFd && output !== OUTPUTS.noAnswer && output !== OUTPUTS.broken;
  // A SET without an answer that names a state leaves the model where it was.
  const named = !isSet || state !== undefined || (status === null && typeof input.call.state === 'string');
  const after = says && named ? taken(model, input, labelOf(input, output, state ?? null)) : model.clone();
  if (state !== undefined && after.state !== state) after.take(stepOf(after, input), `GET.${state}`);
  return after;
}

/** Without what nothing depends on any more: older data_fds, and most of one that is over, closed or spoiled. */
function forgetful(model: CaseModel, asksFds: boolean): CaseModel {
  const last = model.fds.at(-1) ?? null;
  model.fds.length = 0;
  if (last === null || (!last.alive && (last.closed || !asksFds))) return model;
  if (!last.alive || last.use === 'save') Object.assign(last, { spoiled: false, written: 0 });
  if (!last.alive || last.closed) last.ended = false;
  if (last.spoiled) last.written = 0;
  model.fds.push(last);
  return model;
}

function modelKey({ state, fds, logging }: CaseModel): string {
  return JSON.stringify([state, fds.at(-1) ?? null, logging]);
}

/** The call as a step, whose expectations and place nobody reads. */
function stepOf(model: CaseModel, { call }: Input): Step {
  const common = { expect: [] as string[], rule: '', at: model.state };
  const fd = model.fds.length - 1;
  const [iova, length, pageSize] = ['0x0', '0x1000', 4096];
  switch (call.do) {
    case 'set':
      return { do: 'set', state: call.state, ...common };
    case 'read':
      return { do: 'read', fd, size: IMAGE_LENGTH, until: 'end', ...common };
    case 'write': {
      const other = call.image === 'damaged' || call.image === 'unknown';
      const damage = other ? { flip: { at: 0, mask: 255 } } : {};
      const to = call.image === 'half' ? IMAGE_LENGTH / 2 : null;
      return { do: 'write', fd, data: { from: 0, to, ...damage }, piece: null, ...common };
    }
    case 'precopy_info':
    case 'close':
      return { do: call.do, fd, ...common };
    case 'log_start':
      return { do: 'log_start', pageSize, ranges: [{ iova, length }], ...common, expect: ['START.ok'] };
    case 'log_report':
      return { do: 'log_report', iova, length, pageSize, ...common, expect: ['REPORT.ok'] };
    default:
      return { do: call.do, ...common };
  }
}

/** A model in words. */
function modelText(model: CaseModel): string {
  const { state, logging } = model;
  const fd = model.fds.at(-1);
  const words: string[] = [state];
  if (fd) {
    const life = fd.alive ? fd.use : `${fd.use} over`;
    const loaded = fd.written < IMAGE_LENGTH ? ', loaded by half' : ', loaded';
    const load = fd.spoiled ? ', other data' : fd.written > 0 ? loaded : '';
    words.push(`${life}${fd.ended ? ', at its end' : ''}${load}${fd.closed ? ', closed' : ''}`);
  }
  if (logging !== false) words.push(logging === null ? 'logging perhaps' : 'logging');
  return words.join(', ');
}
