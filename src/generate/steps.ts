import {
  type CapabilitySet,
  hasSession,
  inPreCopy,
  isRunning,
  opensSession,
  requestedPath,
} from '../machines/index.js';
import { CaseModel, type FdModel, type Step, type StepOf } from '../suite/index.js';
import type { MigState } from '../uapi/vfio.js';

/** Bytes of one read() where a case does not say otherwise. */
const READ_SIZE = 65_536;

/** A case knows its image by both ends; how long it is stands here for lengths that the cases suit. */
const IMAGE_LENGTH = 1 << 20;

/** Which bytes a write step takes; what is left out is the whole image, unchanged. */
export type WriteData = Partial<StepOf<'write'>['data']>;

/** A step without what is expected of it. */
export type Bare = { [K in Step['do']]: Omit<StepOf<K>, 'expect' | 'rule' | 'at'> }[Step['do']];

/**
 * Steps that follow the model of a device: each knows where the device is, which outcomes are allowed, and
 * which rule another one breaks. Begins in RUNNING with no session, as every case does.
 *
 * Where everything that a call needs is there, it has to work: a request that has a path, a read of an open
 * session, a write of the device's own stream, a reset. What a driver may decide is left to it, and the next
 * steps allow what follows from either.
 */
export class Walk {
  readonly steps: Step[] = [];
  /** The device after each outcome that is allowed, the likely one first. */
  #models: CaseModel[];
  /** Nothing more is expected of the open session in this state: its end was read. */
  #drained = false;
  /** The device was loaded, and has not run since. */
  #loaded = false;
  /** A session has been there. */
  #had = false;
  #lastMove: 'open' | 'set' | 'failed' | 'reset' | 'none' = 'none';

  constructor(readonly capabilities: CapabilitySet) {
    this.#models = [new CaseModel(capabilities, IMAGE_LENGTH)];
  }

  /** The state of a device that has done what is most likely. */
  get at(): MigState {
    return this.#likely.state;
  }

  /** The state is known, whatever the driver has decided. */
  get isCertain(): boolean {
    return this.#models.every(({ state }) => state === this.at);
  }

  /** The last data_fd that the device has given. */
  get fd(): number {
    return this.#likely.fds.length - 1;
  }

  /** The data_fd of the open session, or null. */
  get session(): number | null {
    return this.#likely.liveFd;
  }

  /** The data_fds that were not closed. */
  get openFds(): number[] {
    return this.#likely.fds.flatMap((fd, number) => (fd === null || fd.closed ? [] : [number]));
  }

  /**
   * SET of MIG_DEVICE_STATE.
   * @throws Error when the driver may be in several states, or may have given a data_fd or none
   */
  set(state: MigState | number): this {
    if (!this.isCertain) throw new Error(`SET of ${state}, and where the device is the driver decides`);
    const from = this.at;
    const rule = this.#ruleOfRequest(from, state);
    const [likely] = this.#add({ do: 'set', state }, rule);
    const fds = new Set(this.#models.map((model) => model.fds.length));
    if (fds.size > 1) throw new Error(`whether SET of ${state} gives a data_fd the driver decides`);
    this.#lastMove = likely!.startsWith('SET.') ? 'set' : 'failed';
    if (this.at === from) return this;
    this.#drained = false;
    this.#loaded = from === 'RESUMING' || (this.#loaded && !isRunning(this.at));
    this.#had ||= this.session !== null;
    return this;
  }

  /** GET of MIG_DEVICE_STATE. */
  get(): this {
    this.#add({ do: 'get' }, RULE_OF_STATE[this.#lastMove]);
    this.#lastMove = 'none';
    return this;
  }

  /** VFIO_DEVICE_RESET. */
  reset(): this {
    this.#add({ do: 'reset' }, 'VFIO-RST-01');
    return this.#fresh('reset');
  }

  /** Close of the device and open. No data_fd outlives it. */
  reopen(): this {
    this.#add({ do: 'reopen' }, 'VFIO-FSM-10');
    for (const { fds } of this.#models) for (const fd of fds) if (fd) fd.closed = true;
    this.#had = false;
    return this.#fresh('open');
  }

  /** read() of a data_fd, once or to the end. */
  read(fd: number, { size = READ_SIZE, until = 'once' as StepOf<'read'>['until'] } = {}): this {
    const { use, alive } = this.#open(fd);
    const live = use === 'save' && alive;
    const end = inPreCopy(this.at) ? 'VFIO-PRE-01' : 'VFIO-SES-04';
    const rule = this.#drained || until === 'end' ? end : 'VFIO-SES-19';
    this.#add({ do: 'read', fd, size, until }, live ? rule : 'VFIO-SES-03');
    if (live && until === 'end') this.#drained = true;
    return this;
  }

  /** write() to a data_fd: of the whole image, unless `data` says another part. */
  write(fd: number, data: WriteData = {}, piece: number | null = null): this {
    const { use, alive } = this.#open(fd);
    const { from = 0, to = null, ...rest } = data;
    const call = { do: 'write', fd, data: { from, to, ...rest }, piece } as const;
    const likely = this.#likely.allowed(unjudged(call))!;
    const rule = likely.length > 1 ? 'VFIO-SES-10' : 'VFIO-SES-16';
    this.#add(call, use === 'load' && alive ? rule : 'VFIO-SES-14');
    return this;
  }

  /** VFIO_MIG_GET_PRECOPY_INFO. */
  precopyInfo(fd: number): this {
    const { use, alive } = this.#open(fd);
    const works = use === 'save' && alive && inPreCopy(this.at);
    this.#add({ do: 'precopy_info', fd }, works ? 'VFIO-PRE-02' : 'VFIO-PRE-03');
    return this;
  }

  /** close() of a data_fd. */
  close(fd: number): this {
    this.#add({ do: 'close', fd }, 'VFIO-SES-18');
    return this;
  }

  /** GET of MIG_DATA_SIZE. */
  dataSize(): this {
    this.#add({ do: 'data_size' }, 'VFIO-SES-13');
    return this;
  }

  /** SET of MIG_PRECOPY_INFOv2, which kernels before 7.2 do not know. */
  optInPrecopyInfoV2(): this {
    return this.other({ do: 'precopy_info_v2' }, ['OPT_IN.ok', 'OPT_IN.error'], 'VFIO-PRE-06');
  }

  /** A read of a region that answers in this state. */
  readRegion(region: number, offset: number, size: number): this {
    return this.other({ do: 'read_region', region, offset, size }, ['REGION.ok'], 'VFIO-QSC-01');
  }

  /** A step of which the model does not know what it brings, and that leaves state and session alone. */
  other(call: Bare, expect: readonly string[], rule: string): this {
    this.steps.push({ ...call, expect: [...expect], rule, at: this.at } as Step);
    return this;
  }

  get #likely(): CaseModel {
    return this.#models[0]!;
  }

  /** Adds a step, and follows each of the outcomes that are allowed; returns them. */
  #add(call: Bare, rule: string): string[] {
    const bare = unjudged(call);
    const each = this.#models.map((model) => ({ model, allowed: model.allowed(bare)! }));
    const expect = [...new Set(each.flatMap(({ allowed }) => allowed))];
    const step: Step = { ...bare, expect, rule, at: this.at };
    const after = expect.flatMap((outcome) =>
      each.filter(({ allowed }) => allowed.includes(outcome)).map(({ model }) => taken(model, step, outcome)),
    );
    this.steps.push(step);
    this.#models = [...new Map(after.map((model) => [key(model), model])).values()];
    return expect;
  }

  #ruleOfRequest(from: MigState, state: MigState | number): string {
    const path = typeof state === 'number' ? null : requestedPath(from, state, this.capabilities);
    if (path === null) return ruleOfRefusal(from, state);
    const to = state as MigState;
    if (from === to) return 'VFIO-FSM-11';
    if (from === 'RESUMING') return ruleOfLoad(this.#likely);
    // A failure that the validator has no name for has an errno of the hardware.
    if (this.#loaded && isRunning(to)) return 'VFIO-SES-20';
    if (opensSession(from, to)) return this.#had ? 'VFIO-FSM-15' : 'VFIO-SES-01';
    return isRunning(to) && !hasSession(to) && from !== 'RUNNING' ? 'VFIO-FSM-15' : 'VFIO-FSM-01';
  }

  #fresh(how: 'reset' | 'open'): this {
    this.#loaded = false;
    this.#drained = false;
    this.#lastMove = how;
    return this;
  }

  #open(number: number): FdModel {
    const fd = this.#likely.fds[number];
    if (!this.isCertain || !fd || fd.closed)
      throw new Error(`there is no open data_fd ${number} for certain`);
    return fd;
  }
}

const unjudged = (call: Bare): Step => ({ ...call, expect: [''], rule: '', at: 'RUNNING' }) as Step;

function taken(model: CaseModel, step: Step, outcome: string): CaseModel {
  const after = model.clone();
  after.take(step, outcome);
  return after;
}

const key = ({ state, fds }: CaseModel): string => JSON.stringify([state, fds]);

const RULE_OF_STATE = {
  open: 'VFIO-FSM-10',
  set: 'VFIO-FSM-01',
  failed: 'VFIO-FSM-02',
  reset: 'VFIO-RST-01',
  none: 'VFIO-FSM-03',
} as const;

function ruleOfLoad(model: CaseModel): string {
  if (model.isLoaded) return 'VFIO-SES-16';
  const fd = model.fds[model.liveFd ?? -1];
  if (!fd || fd.spoiled) return 'VFIO-SES-10';
  return fd.written === 0 ? 'VFIO-SES-11' : 'VFIO-SES-15';
}

function ruleOfRefusal(from: MigState, state: MigState | number): string {
  if (typeof state === 'number') return 'VFIO-FSM-08';
  if (state === 'ERROR') return 'VFIO-FSM-05';
  if (from === 'ERROR') return 'VFIO-FSM-06';
  return from === 'STOP_COPY' && inPreCopy(state) ? 'VFIO-FSM-04' : 'VFIO-FSM-07';
}

/** A request as criteria walk them: a SET of a state (or of a number that is none), or VFIO_DEVICE_RESET. */
export type RequestStep = MigState | number | 'RESET';

export interface LowerOptions {
  /** The state is asked for after each request. */
  readonly status?: boolean;
  /** The data_fd of a session is closed when the session has ended; the default. */
  readonly close?: boolean;
}

/**
 * The steps of a walk of requests, from RUNNING with no session. Before RESUMING is left all of the image is
 * written, so that a device that is right succeeds; a save need not be read.
 */
export function lowerRequests(
  capabilities: CapabilitySet,
  requests: readonly RequestStep[],
  { status = false, close = true }: LowerOptions = {},
): Step[] {
  const walk = new Walk(capabilities);
  let fed = false;
  for (const request of requests) {
    const { session, at } = walk;
    if (at === 'RESUMING' && !fed && leaves(walk, request)) {
      walk.write(session!);
      fed = true;
    }
    if (request === 'RESET') walk.reset();
    else walk.set(request);
    if (walk.session !== session) {
      if (session !== null && close) walk.close(session);
      fed = false;
    }
    if (status) walk.get();
  }
  return walk.steps;
}

function leaves({ at, capabilities }: Walk, request: RequestStep): boolean {
  if (typeof request === 'number' || request === 'RESET' || request === at) return false;
  return requestedPath(at, request, capabilities) !== null;
}
