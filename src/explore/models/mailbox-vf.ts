import type { VirtchnlOp } from '../../uapi/virtchnl.js';
import type { ModelBuilder, VariableHandle } from '../builder.js';
import { and, type Expression, either, eq, ne, or, plus } from '../expression.js';
import type { Assignment } from '../model.js';
import { addDevice, type DeviceHandle } from './vfio-parts.js';

/**
 * The requests of the model: the first one makes the VF active, the others change what it is configured to. A
 * request is called by its place here, 0 is none.
 */
export const REQUESTS = [
  null,
  'GET_VF_RESOURCES',
  'ADD_VLAN',
  'DEL_VLAN',
] as const satisfies (VirtchnlOp | null)[];
export const REQUEST = { none: 0, resources: 1, add: 2, delete: 3 };

/** What a VF is configured to: nothing after a reset, active, or active with a filter. */
export const CONFIG = { none: 0, active: 1, filter: 2 };

/** What waits for the guest in the queue to it. */
export const ANSWER = { none: 0, success: 1, refusal: 2, more: 3 };

/** The image of a VF on its way; over: cut by a reset of the VF, or refused. */
export const IMAGE = { none: 0, read: 1, written: 2, over: 3 };

/** A VF: its device on both hosts, its guest driver, its mailbox. */
export interface Vf {
  readonly name: string;
  readonly source: DeviceHandle;
  readonly destination: DeviceHandle;
  /** The request that the guest waits for. */
  readonly request: VariableHandle;
  /** What it believes the VF to be configured to. */
  readonly view: VariableHandle;
  /** The request is between head and tail of the queue to the PF. */
  readonly posted: VariableHandle;
  /** The answer that the guest has not read. */
  readonly answer: VariableHandle;
  /** A reset has switched the mailbox off, and the guest has not seen it. */
  readonly off: VariableHandle;
  /** What the VF is configured to here, and there. */
  readonly here: VariableHandle;
  readonly there: VariableHandle;
  /** The log of the PF that has the VF, oldest first. */
  readonly log: readonly VariableHandle[];
  /** How many requests were replayed, or records loaded. */
  readonly replayed: VariableHandle;
  readonly image: VariableHandle;
  readonly saved: Saved;
}

/**
 * What the image of a VF holds: its configuration (B), or the log (A), which only grows, so that its length tells
 * what was saved of it; and whether a request is in the mailbox.
 */
export interface Saved {
  readonly config: VariableHandle;
  readonly length: VariableHandle;
  readonly posted: VariableHandle;
}

/** The capabilities of both generations. */
const CAPS = { p2p: true, preCopy: false } as const;

export function addVf(model: ModelBuilder, index: number, logSize: number): Vf {
  const source = addDevice(model, index, 'src', { caps: CAPS });
  const destination = addDevice(model, index, 'dst', { caps: CAPS });
  const name = source.device;
  const variable = (what: string, words: string, most: number) =>
    model.variable(`${name} ${what}`, words, most);
  const configs = Object.keys(CONFIG).join(', ');
  const requests = REQUESTS.map((each) => each ?? 'none').join(', ');
  return {
    name,
    source,
    destination,
    request: variable('request', `what the guest waits for: ${requests}`, REQUEST.delete),
    view: variable('view', `the configuration as the guest knows it: ${configs}`, CONFIG.filter),
    posted: variable('posted', 'the request waits for the PF', 1),
    answer: variable('answer', `what waits for the guest: ${Object.keys(ANSWER).join(', ')}`, ANSWER.more),
    off: variable('off', 'a reset that the guest has not seen', 1),
    here: variable('here', `the configuration at the source: ${configs}`, CONFIG.filter),
    there: variable('there', `the configuration at the destination: ${configs}`, CONFIG.filter),
    log: Array.from({ length: logSize }, (_, at) =>
      variable(`log ${at}`, `request in the PF's log: ${requests}`, REQUEST.delete),
    ),
    replayed: variable('replayed', 'requests replayed, or records loaded', logSize),
    image: variable('image', `the image: ${Object.keys(IMAGE).join(', ')}`, IMAGE.over),
    saved: {
      config: variable('saved config', `the configuration in the image: ${configs}`, CONFIG.filter),
      length: variable('saved length', 'how much of the log is in the image', logSize),
      posted: variable('saved posted', 'in the image, the request waits for the PF', 1),
    },
  };
}

/** The variables that are an image's content. */
export function variablesOfImage({ saved }: Vf): VariableHandle[] {
  return [saved.config, saved.length, saved.posted];
}

/** The names of all that belongs to a VF, in one order for all. */
export function namesOf(vf: Vf): string[] {
  const { request, view, posted, answer, off, here, there, log, replayed, image } = vf;
  const own = [request, view, posted, answer, off, here, there, ...log, replayed, image];
  const charts = [vf.source.chart.name, vf.destination.chart.name];
  return [...charts, ...[...own, ...variablesOfImage(vf)].map(({ variable }) => variable)];
}

/** The image is what the VF is now; the log of a generation without one is empty. */
export function save({ saved, here, log, posted }: Vf): Assignment[] {
  const logged = log.map((entry) => ne(entry, REQUEST.none));
  return [saved.config.to(here), saved.length.to(plus(...logged)), saved.posted.to(posted)];
}

/** What a VF is configured to after a request. */
export function effectOf(request: Expression): Expression {
  return either(eq(request, REQUEST.add), CONFIG.filter, CONFIG.active);
}

/** What the guest knows, or will when it reads the answer that waits for it. */
export function seenBy({ request, view, answer }: Vf): Expression {
  const isTold = and(or(eq(answer, ANSWER.success), eq(answer, ANSWER.more)), ne(request, REQUEST.none));
  return either(isTold, effectOf(request), view);
}

/** One more answer, of this kind, comes to the guest. */
export function answered({ answer }: Vf, kind: 'success' | 'refusal'): Assignment {
  return answer.to(either(eq(answer, ANSWER.none), ANSWER[kind], ANSWER.more));
}
