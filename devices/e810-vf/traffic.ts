import { crc32 } from 'node:zlib';
import { mix, nextRandom } from './random.js';

/** `toVf`: from the wire to the guest; `fromVf`: from the guest to the wire. */
export type Direction = 'toVf' | 'fromVf';

/** What both ends of the traffic know of each other. */
export interface TrafficPlan {
  readonly seed: number;
  readonly queuePairs: number;
  /** MAC of the VF, six bytes. */
  readonly vfMac: Uint8Array;
}

/** What a frame of the traffic says of itself. */
export interface FrameTag {
  /** Tx queue that it was sent on; 0 from the wire, where the VF chooses the queue. */
  readonly queue: number;
  readonly flow: number;
  /** Number within the flow, from 0. */
  readonly sequence: number;
}

/** Bytes of an Ethernet frame without FCS. */
export const FRAME_SIZE = { least: 60, most: 1514 } as const;
/** Flows of one Tx queue, and of the wire for each Rx queue: many, so that RSS reaches every queue. */
export const FLOWS_PER_QUEUE = { fromVf: 2, toVf: 8 } as const;
/** VLANs that some of the wire's flows are in; the guest adds them to its filters. */
export const TRAFFIC_VLANS: readonly number[] = [100, 101, 102];
/** MAC of the wire's peer: locally administered. */
export const PEER_MAC = Uint8Array.of(0x02, 0x77, 0x69, 0x72, 0x65, 0x00);

const ETHERTYPE = { ipv4: 0x0800, vlan: 0x8100 } as const;
/** Headers behind the Ethernet type: IPv4 and UDP. */
const IP_UDP = 28;
/** Of the payload: mark, queue, flow u16, sequence u32, crc u32, big-endian. */
const HEAD = 12;
const MARK = { toVf: 0xa5, fromVf: 0x5a } as const;
/** Content is a window into a pool of random bytes; where it begins depends on flow and number. */
const POOL_BITS = 16;
/** Salts of what is drawn for each frame. */
const DRAW = { kind: 1, size: 2, content: 3, cut: 4 } as const;

/**
 * The frames of a run. Frame and content follow from seed, direction, flow and number alone, so whoever takes
 * a frame can make it again and compare all of its bytes. UDP in IPv4, tagged by 802.1Q in some flows.
 */
export class Traffic {
  readonly flows: Readonly<Record<Direction, number>>;
  readonly #plan: TrafficPlan;
  readonly #pool: Uint8Array;
  readonly #again = new Uint8Array(FRAME_SIZE.most);

  constructor(plan: TrafficPlan) {
    this.#plan = plan;
    this.flows = {
      toVf: FLOWS_PER_QUEUE.toVf * plan.queuePairs,
      fromVf: FLOWS_PER_QUEUE.fromVf * plan.queuePairs,
    };
    const words = new Uint32Array(((1 << POOL_BITS) + FRAME_SIZE.most + 3) >> 2);
    let random = mix(plan.seed, 0x706f6f6c);
    for (let at = 0; at < words.length; at++) {
      random = nextRandom(random);
      words[at] = random;
    }
    this.#pool = new Uint8Array(words.buffer);
  }

  /** VLAN of a flow, or null: every eighth of the wire's is tagged. */
  vlanOf(direction: Direction, flow: number): number | null {
    if (direction === 'fromVf' || flow % 8 !== 7) return null;
    return TRAFFIC_VLANS[(flow >> 3) % TRAFFIC_VLANS.length]!;
  }

  /** Bytes of a frame with its VLAN tag: half of them short or full, the rest anything between. */
  sizeOf(direction: Direction, flow: number, sequence: number): number {
    const { least, most } = FRAME_SIZE;
    const kind = this.#draw(direction, flow, sequence, DRAW.kind) % 4;
    if (kind < 2) return kind === 0 ? least : most;
    return least + (this.#draw(direction, flow, sequence, DRAW.size) % (most - least + 1));
  }

  /** Where the guest cuts a frame over two descriptors; 0: it does not. */
  cutOf(flow: number, sequence: number): number {
    const draw = this.#draw('fromVf', flow, sequence, DRAW.cut);
    return draw % 4 === 0 ? 14 + ((draw >>> 8) % 46) : 0;
  }

  /** Writes a frame to the beginning of `into` and returns its size. The queue follows from the flow. */
  build(direction: Direction, flow: number, sequence: number, into: Uint8Array): number {
    const size = this.sizeOf(direction, flow, sequence);
    const start = this.#draw(direction, flow, sequence, DRAW.content) >>> (32 - POOL_BITS);
    const frame = into.subarray(0, size);
    const view = new DataView(frame.buffer, frame.byteOffset, size);
    const ip = this.#ethernet(direction, flow, frame, view);
    ipAndUdp(direction, flow, view, ip);
    const head = ip + IP_UDP;
    view.setUint8(head, MARK[direction]);
    view.setUint8(head + 1, queueOf(direction, flow));
    view.setUint16(head + 2, flow);
    view.setUint32(head + 4, sequence);
    view.setUint32(head + 8, 0);
    frame.set(this.#pool.subarray(start, start + size - head - HEAD), head + HEAD);
    view.setUint32(head + 8, crc32(frame));
    return size;
  }

  /**
   * Reads a frame that has arrived.
   * @returns what it says of itself, or in words why it is not a frame of this traffic. `tag` is there
   * with `wrong` when the frame is recognizable and its content is not what it should be.
   */
  inspect(direction: Direction, frame: Uint8Array): { tag?: FrameTag; wrong?: string } {
    const tag = readTag(direction, frame);
    if (!tag) return { wrong: 'is no frame of this traffic' };
    if (tag.flow >= this.flows[direction]) return { wrong: `names flow ${tag.flow}, which there is not` };
    const size = this.build(direction, tag.flow, tag.sequence, this.#again);
    if (size !== frame.length) return { tag, wrong: `has ${frame.length} bytes in place of ${size}` };
    if (Buffer.compare(frame, this.#again.subarray(0, size)) === 0) return { tag };
    return { tag, wrong: checksumHolds(frame) ? 'has the content of another frame' : 'has a wrong checksum' };
  }

  #ethernet(direction: Direction, flow: number, frame: Uint8Array, view: DataView): number {
    const { vfMac } = this.#plan;
    frame.set(direction === 'toVf' ? vfMac : PEER_MAC, 0);
    frame.set(direction === 'toVf' ? PEER_MAC : vfMac, 6);
    const vlan = this.vlanOf(direction, flow);
    if (vlan !== null) {
      view.setUint16(12, ETHERTYPE.vlan);
      view.setUint16(14, vlan);
    }
    const type = vlan === null ? 12 : 16;
    view.setUint16(type, ETHERTYPE.ipv4);
    return type + 2;
  }

  #draw(direction: Direction, flow: number, sequence: number, salt: number): number {
    return mix(this.#plan.seed, MARK[direction], flow, sequence, salt);
  }
}

/** Tx queue of a flow; 0 for the wire's. */
export function queueOf(direction: Direction, flow: number): number {
  return direction === 'fromVf' ? Math.floor(flow / FLOWS_PER_QUEUE.fromVf) : 0;
}

/** The tag of a frame, without a look at its content; null when it cannot be one of ours. */
export function readTag(direction: Direction, frame: Uint8Array): FrameTag | null {
  if (frame.length < FRAME_SIZE.least) return null;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const head = payloadOf(view);
  if (view.getUint8(head) !== MARK[direction]) return null;
  return {
    queue: view.getUint8(head + 1),
    flow: view.getUint16(head + 2),
    sequence: view.getUint32(head + 4),
  };
}

const payloadOf = (view: DataView): number => (view.getUint16(12) === ETHERTYPE.vlan ? 18 : 14) + IP_UDP;

function checksumHolds(frame: Uint8Array): boolean {
  const copy = frame.slice();
  const view = new DataView(copy.buffer);
  const at = payloadOf(view) + 8;
  const told = view.getUint32(at);
  view.setUint32(at, 0);
  return crc32(copy) === told;
}

/** Writes IPv4 (RFC 791) and UDP (RFC 768, without checksum) up to the payload. */
function ipAndUdp(direction: Direction, flow: number, view: DataView, at: number): void {
  const length = view.byteLength - at;
  const [guest, peer] = [0x0a010001, 0x0a020000 + (flow >> 4)];
  view.setUint32(at, 0x45000000 | length);
  view.setUint32(at + 4, 0x00004000); // Do not fragment.
  view.setUint32(at + 8, 0x40110000); // TTL 64, UDP.
  view.setUint32(at + 12, direction === 'toVf' ? peer : guest);
  view.setUint32(at + 16, direction === 'toVf' ? guest : peer);
  let sum = 0;
  for (let word = 0; word < 20; word += 2) sum += view.getUint16(at + word);
  sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(at + 10, ~(sum + (sum >>> 16)) & 0xffff);
  view.setUint16(at + 20, 0x8000 + flow);
  view.setUint16(at + 22, 7001);
  view.setUint16(at + 24, length - 20);
  view.setUint16(at + 26, 0);
}
