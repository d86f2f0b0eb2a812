import type { VmStateDescription } from 'stopcopy/vmstate';
import { mix, nextRandom } from './random.js';
import { enter, newSequence, type Sequence } from './sequence.js';
import { type Direction, FRAME_SIZE, Traffic, type TrafficPlan } from './traffic.js';

/** A flow from the wire to the VF. */
export interface FlowToVf {
  /** Number of the next frame, and so how many the VF took. */
  next: number;
  /** Frames that the VF did not take since it last took one. */
  dropped: number;
  /** How many frames of all flows the VF had taken when it last took one of this flow. */
  takenAt: number;
}

/** A flow from the VF to the wire. */
export interface FlowFromVf extends Sequence {
  /** Frames whose content was not what their number says. */
  corrupted: number;
}

/** Where the wire is: all that it knows of what went over it. */
export interface WireState {
  random: number;
  /** Frames that the VF took, and that it did not. */
  taken: number;
  dropped: number;
  /** Frames that the VF did not take since it last took one. */
  droppedInARow: number;
  /** Frames out of the VF that are not of the traffic. */
  alien: number;
  /** RARP announcements that went out at this port. */
  announcements: number;
  toVf: FlowToVf[];
  fromVf: FlowFromVf[];
}

/** How the wire of a VF behaves. */
export interface WireOptions extends TrafficPlan {
  /** Frames that the peer sends in a tick; default 4. */
  readonly framesPerTick?: number;
}

/**
 * The cable and the peer at its other end. The peer sends numbered frames in several flows, and the same one
 * again when the VF did not take it, so numbers that the VF took have no gaps. It checks what comes out of the
 * VF by records of its own.
 *
 * On a real host the cable stays outside of the machine, and a switch moves the port to the other host. Here
 * the peer lives in the process of the machine, so its position crosses to the other process as a section of
 * its own: it is no state of the VF.
 */
export class Wire {
  readonly traffic: Traffic;
  readonly state: WireState;
  framesPerTick: number;
  readonly #frame = new Uint8Array(FRAME_SIZE.most);

  constructor(options: WireOptions) {
    this.traffic = new Traffic(options);
    this.framesPerTick = options.framesPerTick ?? 4;
    const flows = <T>(direction: Direction, make: () => T): T[] =>
      Array.from({ length: this.traffic.flows[direction] }, make);
    this.state = {
      random: mix(options.seed, 0x77697265) || 1,
      taken: 0,
      dropped: 0,
      droppedInARow: 0,
      alien: 0,
      announcements: 0,
      toVf: flows('toVf', () => ({ next: 0, dropped: 0, takenAt: 0 })),
      fromVf: flows('fromVf', () => ({ ...newSequence(), corrupted: 0 })),
    };
  }

  /**
   * The peer sends the frames of a tick.
   * @param receive the VF's port: whether it took the frame, whose bytes are valid during the call
   */
  tick(receive: (frame: Uint8Array) => boolean): void {
    for (let count = 0; count < this.framesPerTick; count++) this.#send(receive);
  }

  #send(receive: (frame: Uint8Array) => boolean): void {
    const { state } = this;
    state.random = nextRandom(state.random);
    const number = (state.random >>> 4) % state.toVf.length;
    const flow = state.toVf[number]!;
    const size = this.traffic.build('toVf', number, flow.next, this.#frame);
    if (!receive(this.#frame.subarray(0, size))) {
      flow.dropped++;
      state.dropped++;
      state.droppedInARow++;
      return;
    }
    flow.next++;
    flow.dropped = 0;
    state.droppedInARow = 0;
    flow.takenAt = ++state.taken;
  }

  /** A frame comes out at the VF's port. */
  take(frame: Uint8Array): void {
    if (isRarpAnnouncement(frame)) {
      this.state.announcements++;
      return;
    }
    const { tag, wrong } = this.traffic.inspect('fromVf', frame);
    const flow = tag && this.state.fromVf[tag.flow];
    if (!flow) this.state.alien++;
    else if (wrong !== undefined) flow.corrupted++;
    else enter(flow, tag.sequence);
  }

  /**
   * Flows that the VF has taken before and does not take any more, though it takes many others: their filter,
   * or the queue behind it, is gone. When the VF takes nothing at all, `droppedInARow` tells.
   */
  flowsShutOut(): number[] {
    const { toVf, taken } = this.state;
    const many = 16 * toVf.length;
    return toVf.flatMap(({ next, dropped, takenAt }, flow) =>
      next > 0 && dropped >= 8 && taken - takenAt >= many ? [flow] : [],
    );
  }
}

/** The wire's state as a section; how many flows there are is fixed by the queue pairs of the VF. */
export function wireDescription({ state }: Wire): VmStateDescription {
  const version = { version: 1, minimumVersion: 1 } as const;
  const u32 = <K extends string>(...names: K[]) => names.map((name) => ({ name, type: 'u32' as const }));
  return {
    name: 'e810-vf-wire',
    ...version,
    fields: [
      ...u32('random', 'taken', 'dropped', 'droppedInARow', 'alien', 'announcements'),
      {
        name: 'toVf',
        type: {
          structs: { name: 'flow-to-vf', ...version, fields: u32('next', 'dropped', 'takenAt') },
          count: state.toVf.length,
        },
      },
      {
        name: 'fromVf',
        type: {
          structs: {
            name: 'flow-from-vf',
            ...version,
            fields: u32('next', 'window', 'seen', 'duplicated', 'reordered', 'corrupted'),
          },
          count: state.fromVf.length,
        },
      },
    ],
  };
}

const ETHERTYPE_RARP = 0x8035;

/**
 * The announcement that moves a MAC in the switches to this port: a RARP request (RFC 903, "request reverse",
 * of the MAC for itself), broadcast, 60 bytes. QEMU announces the same way.
 */
export function rarpAnnouncement(mac: Uint8Array): Uint8Array {
  if (mac.length !== 6) throw new RangeError(`a MAC has 6 bytes, not ${mac.length}`);
  const frame = new Uint8Array(FRAME_SIZE.least);
  const view = new DataView(frame.buffer);
  frame.fill(0xff, 0, 6);
  frame.set(mac, 6);
  view.setUint16(12, ETHERTYPE_RARP);
  view.setUint16(14, 1); // Ethernet
  view.setUint16(16, 0x0800); // IPv4
  view.setUint8(18, 6);
  view.setUint8(19, 4);
  view.setUint16(20, 3); // request reverse
  frame.set(mac, 22);
  frame.set(mac, 32);
  return frame;
}

function isRarpAnnouncement(frame: Uint8Array): boolean {
  return frame.length >= 42 && frame[12] === ETHERTYPE_RARP >> 8 && frame[13] === (ETHERTYPE_RARP & 0xff);
}
