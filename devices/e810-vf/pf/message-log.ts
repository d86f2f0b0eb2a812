import { VIRTCHNL_OPS, type VirtchnlOp, virtchnlCapMask } from 'stopcopy/uapi';
import type { PfState } from '../vf-state.js';

/**
 * Generation A: the log of the guest's messages. While `logging` is on, each loggable request is kept, in the
 * order of arrival, before it is handled, and dropped again when handling fails. Nothing is ever merged or
 * cancelled; only a reset of the VF empties the log.
 */

/** Messages that the log holds. One more is refused, and so is all that follows until a reset. */
export const MESSAGE_LOG_LIMIT = 1000;

const LOGGABLE: ReadonlySet<number> = new Set(
  (
    [
      'VERSION',
      'GET_VF_RESOURCES',
      'CONFIG_VSI_QUEUES',
      'CONFIG_IRQ_MAP',
      'ENABLE_QUEUES',
      'DISABLE_QUEUES',
      'ADD_ETH_ADDR',
      'DEL_ETH_ADDR',
      'ADD_VLAN',
      'DEL_VLAN',
      'CONFIG_PROMISCUOUS_MODE',
      'CONFIG_RSS_KEY',
      'CONFIG_RSS_LUT',
      'ENABLE_VLAN_STRIPPING',
      'DISABLE_VLAN_STRIPPING',
      'GET_SUPPORTED_RXDIDS',
    ] satisfies VirtchnlOp[]
  ).map((name) => VIRTCHNL_OPS[name]),
);

/** Capabilities that a VF whose messages are logged may have: those that a replay brings back. */
export const MIGRATION_CAPS = virtchnlCapMask([
  'L2',
  'RSS_PF',
  'RSS_AQ',
  'RSS_REG',
  'RSS_PCTYPE_V2',
  'ENCAP',
  'ENCAP_CSUM',
  'RX_POLLING',
  'WB_ON_ITR',
  'ADV_LINK_SPEED',
  'VLAN',
  'RX_FLEX_DESC',
  'USO',
]);

/** Whether a request goes into the log now. */
export const isLogged = (pf: PfState, opcode: number): boolean => pf.logging && LOGGABLE.has(opcode);

/** Appends a copy of a request. False: the log is full. */
export function logMessage(pf: PfState, opcode: number, payload: Uint8Array): boolean {
  if (pf.log.length >= MESSAGE_LOG_LIMIT) return false;
  pf.log.push({ opcode, payload: payload.slice() });
  return true;
}

/** Takes back the request that was logged last: it has failed. */
export function unlogMessage(pf: PfState): void {
  pf.log.pop();
}
