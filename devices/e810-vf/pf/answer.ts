import { VIRTCHNL_STATUS } from 'stopcopy/uapi';
import type { VfState } from '../vf-state.js';

/** What the PF driver makes of a request. */
export interface Answer {
  readonly status: number;
  readonly payload?: Uint8Array;
  /** The VF is reset, and the request is not answered. With `notify` an event tells that it comes. */
  readonly reset?: 'silent' | 'notify';
}

/** Handles one operation. The payload has passed the length check: all that its counts promise is there. */
export type Handler = (state: VfState, payload: Uint8Array) => Answer;

const answers = {
  success: { status: VIRTCHNL_STATUS.SUCCESS },
  param: { status: VIRTCHNL_STATUS.ERR_PARAM },
  notSupported: { status: VIRTCHNL_STATUS.ERR_NOT_SUPPORTED },
  noMemory: { status: VIRTCHNL_STATUS.ERR_NO_MEMORY },
  adminQueue: { status: VIRTCHNL_STATUS.ERR_ADMIN_QUEUE_ERROR },
} as const satisfies Record<string, Answer>;

export const { success, param, notSupported, noMemory, adminQueue } = answers;

/** A successful answer that says something. */
export const successWith = (payload: Uint8Array): Answer => ({ ...success, payload });

/** A handler for requests that an active VF makes about its VSI; all others are PARAM. */
export function forVsi<T>(
  decode: (payload: Uint8Array) => T,
  vsiIdOf: (request: T) => number,
  handle: (state: VfState, request: T) => Answer,
): Handler {
  return (state, payload) => {
    const request = decode(payload);
    if (!state.pf.active || vsiIdOf(request) !== state.pf.vsiId) return param;
    return handle(state, request);
  };
}

/** A handler for requests of an active VF that name no VSI. */
export const whenActive =
  (handle: Handler): Handler =>
  (state, payload) =>
    state.pf.active ? handle(state, payload) : param;
