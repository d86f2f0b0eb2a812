import {
  checkVirtchnlRequest,
  hasVirtchnlCap,
  VFGEN_RSTAT,
  VIRTCHNL_EVENTS,
  VIRTCHNL_LINK_SPEED,
  VIRTCHNL_OPS,
  VIRTCHNL_SEVERITY,
  VIRTCHNL_STATUS,
  type VirtchnlOp,
  VirtchnlPfEvent,
  virtchnlOp,
} from 'stopcopy/uapi';
import type { PfDriver } from '../environment.js';
import type { E810Hardware } from '../hardware/hardware.js';
import type { VfState } from '../vf-state.js';
import { ADDRESS_HANDLERS } from './addresses.js';
import { type Answer, type Handler, noMemory, notSupported, param, success } from './answer.js';
import { isLogged, logMessage, unlogMessage } from './message-log.js';
import { QUEUE_HANDLERS } from './queues.js';
import { completeReset, startReset } from './reset.js';
import { RESOURCE_HANDLERS } from './resources.js';
import { RSS_AND_STATS_HANDLERS } from './rss-and-stats.js';
import { VLAN_HANDLERS } from './vlans.js';
import { withLocalVsiId } from './vsi-id.js';

/** RESET_VF, in state INIT; otherwise it is ignored. It is never answered. */
const resetVf: Handler = ({ pf }) => (pf.init ? { ...success, reset: 'silent' } : success);

/** What this PF handles. Of what ice does, requests whose capabilities it never grants are missing. */
const HANDLERS: Readonly<Partial<Record<VirtchnlOp, Handler>>> = {
  RESET_VF: resetVf,
  ...RESOURCE_HANDLERS,
  ...QUEUE_HANDLERS,
  ...ADDRESS_HANDLERS,
  ...VLAN_HANDLERS,
  ...RSS_AND_STATS_HANDLERS,
};

/** After these the VF is told of its link, whatever the answer was. */
const TELL_LINK: readonly number[] = [VIRTCHNL_OPS.GET_VF_RESOURCES, VIRTCHNL_OPS.ENABLE_QUEUES];

const NO_BYTES = new Uint8Array(0);

export interface E810PfOptions {
  /** Speed of the port in Mbit/s; default 100 Gbit/s. */
  readonly linkSpeed?: number;
}

/** The PF driver's part of one VF: answers the messages of the guest, and resets the VF. */
export class E810Pf implements PfDriver {
  readonly #state: VfState;
  readonly #hardware: E810Hardware;
  readonly #linkSpeed: number;

  constructor(state: VfState, hardware: E810Hardware, { linkSpeed = 100_000 }: E810PfOptions = {}) {
    this.#state = state;
    this.#hardware = hardware;
    this.#linkSpeed = linkSpeed;
    hardware.onMessage = (opcode, payload) => {
      this.handleMessage(opcode, payload);
    };
    hardware.onResetDone = () => this.finishReset();
  }

  handleMessage(opcode: number, payload: Uint8Array, { replay = false }: { replay?: boolean } = {}): number {
    const allowed = this.#check(opcode, payload);
    const answer = allowed === success ? this.#handle(opcode, payload, replay) : allowed;
    if (replay) return answer.status;
    if (opcode !== VIRTCHNL_OPS.RESET_VF && answer.reset === undefined)
      this.#hardware.sendToVf(opcode, answer.status, answer.payload ?? NO_BYTES);
    if (allowed === success && TELL_LINK.includes(opcode)) this.tellLink();
    if (answer.reset === 'notify') this.#tellReset();
    if (answer.reset !== undefined) this.startReset();
    return answer.status;
  }

  resetVf(): void {
    this.startReset();
    this.finishReset();
  }

  /** A reset that the guest sees in stages; `finishReset` follows by the ticks of the hardware. */
  startReset(): void {
    startReset(this.#state);
  }

  /** Ends a reset that is under way at once. Before a VF is suspended, this waits for its reset. */
  finishReset(): void {
    if (this.#state.rstat === VFGEN_RSTAT.VF_ACTIVE) return;
    completeReset(this.#state);
    this.#hardware.restart();
  }

  /** Sends the event LINK_CHANGE: after the host has changed the link, and where virtchnl asks for it. */
  tellLink(): void {
    const { caps, linkUp } = this.#state.pf;
    const speed = hasVirtchnlCap(caps, 'ADV_LINK_SPEED') ? this.#linkSpeed : linkSpeedBit(this.#linkSpeed);
    this.#sendEvent(VIRTCHNL_EVENTS.LINK_CHANGE, VIRTCHNL_SEVERITY.INFO, linkUp ? speed : 0, linkUp);
  }

  #tellReset(): void {
    this.#sendEvent(VIRTCHNL_EVENTS.RESET_IMPENDING, VIRTCHNL_SEVERITY.CERTAIN_DOOM, 0, false);
  }

  #sendEvent(event: number, severity: number, speed: number, up: boolean): void {
    const payload = VirtchnlPfEvent.encode({
      event,
      link_speed: speed,
      link_status: up ? 1 : 0,
      pad: new Uint8Array(3),
      severity,
    });
    this.#hardware.sendToVf(VIRTCHNL_OPS.EVENT, VIRTCHNL_STATUS.SUCCESS, payload);
  }

  /** What goes before all handlers, in this order: VF disabled, length, allowlist. */
  #check(opcode: number, payload: Uint8Array): Answer {
    const { pf } = this.#state;
    if (pf.disabled) return param;
    if (checkVirtchnlRequest(opcode, payload, pf.version) !== VIRTCHNL_STATUS.SUCCESS) return param;
    return pf.allowlist.has(opcode) ? success : notSupported;
  }

  #handle(opcode: number, payload: Uint8Array, replay: boolean): Answer {
    const { pf } = this.#state;
    const local = withLocalVsiId(pf, opcode, payload, replay);
    const logged = isLogged(pf, opcode);
    if (logged && !logMessage(pf, opcode, local)) return noMemory;
    const name = virtchnlOp(opcode);
    const answer = (name && HANDLERS[name]?.(this.#state, local)) ?? notSupported;
    if (logged && answer.status !== VIRTCHNL_STATUS.SUCCESS) unlogMessage(pf);
    return answer;
  }
}

/** The bit for a speed; above 40 Gbit/s there is none of its own. */
function linkSpeedBit(mbit: number): number {
  const {
    SPEED_100MB,
    SPEED_1GB,
    SPEED_2_5GB,
    SPEED_5GB,
    SPEED_10GB,
    SPEED_20GB,
    SPEED_25GB,
    SPEED_40GB,
    UNKNOWN,
  } = VIRTCHNL_LINK_SPEED;
  const bits = new Map<number, number>([
    [100, SPEED_100MB],
    [1000, SPEED_1GB],
    [2500, SPEED_2_5GB],
    [5000, SPEED_5GB],
    [10_000, SPEED_10GB],
    [20_000, SPEED_20GB],
    [25_000, SPEED_25GB],
  ]);
  return mbit >= 40_000 ? SPEED_40GB : (bits.get(mbit) ?? UNKNOWN);
}
