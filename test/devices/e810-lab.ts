import { E810Vf, type E810VfOptions } from '../../devices/e810-vf/e810-vf.js';
import type { VfState } from '../../devices/e810-vf/vf-state.js';
import {
  type DataFd,
  type Device,
  DeviceError,
  E810_TX,
  E810RxDescriptor,
  E810TxDescriptor,
  type IoAddressSpace,
  VIRTCHNL_CAPS,
  VIRTCHNL_OPS,
  VirtchnlEtherAddrList,
  VirtchnlIrqMap,
  type VirtchnlOp,
  VirtchnlPromiscInfo,
  VirtchnlQueueSelect,
  VirtchnlRssHashcfg,
  VirtchnlRssKey,
  VirtchnlRssLut,
  VirtchnlRxqInfo,
  VirtchnlTxqInfo,
  VirtchnlVersionInfo,
  VirtchnlVlanFilterList,
  VirtchnlVsiQueueConfig,
  VirtchnlWantedCaps,
  virtchnlRequest,
} from '../../src/uapi/index.js';
import { drain, pour } from './lab.js';

export const MAC = Uint8Array.of(0x02, 0x1b, 0x21, 0xaa, 0xbb, 0xcc);
/** Descriptors of a ring of the lab's guest, and bytes of a buffer. */
export const RING = 64;
const BUFFER = 2048;
const [TX_RINGS, RX_RINGS, TX_BUFFERS, RX_BUFFERS] = [0x1_0000, 0x2_0000, 0x4_0000, 0x10_0000];
const MEMORY = 0x40_0000;

/** Guest memory that remembers which writes there were. Two VFs that share it are two hosts after a RAM copy. */
export class LabMemory implements IoAddressSpace {
  readonly bytes = new Uint8Array(MEMORY);
  readonly writes: { iova: number; length: number }[] = [];

  read(iova: number, into: Uint8Array): void {
    this.#check(iova, into.length);
    into.set(this.bytes.subarray(iova, iova + into.length));
  }

  write(iova: number, bytes: Uint8Array): void {
    this.#check(iova, bytes.length);
    this.writes.push({ iova, length: bytes.length });
    this.bytes.set(bytes, iova);
  }

  #check(iova: number, length: number): void {
    if (iova < 0 || iova + length > MEMORY) throw new DeviceError('EFAULT', `nothing at ${iova}`);
  }
}

export interface LabVf {
  readonly vf: E810Vf;
  readonly memory: LabMemory;
  /** Frames that left the VF, by their number. */
  readonly sent: number[];
  readonly interrupts: number[];
}

/** A VF on a host of its own. */
export function newVf(options: Partial<E810VfOptions> = {}, memory = new LabMemory()): LabVf {
  const sent: number[] = [];
  const interrupts: number[] = [];
  const vf = new E810Vf({
    name: 'vf0',
    generation: 'a',
    personality: 'uapi',
    queuePairs: 4,
    hostMac: MAC,
    vsiId: 12,
    ...options,
    environment: {
      memory,
      interrupt: (vector) => interrupts.push(vector),
      transmit: (frame) => sent.push(numberOf(frame)),
    },
  });
  return { vf, memory, sent, interrupts };
}

/** A frame of the number, to the VF or from it. */
export function frame(number: number, { to = MAC, from = MAC } = {}): Uint8Array {
  const bytes = new Uint8Array(64);
  bytes.set(to);
  bytes.set(from, 6);
  bytes.set([0x88, 0xb5], 12);
  new DataView(bytes.buffer).setUint32(14, number);
  return bytes;
}

const numberOf = (bytes: Uint8Array): number =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(14);

const PEER = Uint8Array.of(2, 0, 0, 0, 0, 9);

/** A driver that says what it wants to the PF directly, and keeps its own books of the rings. */
export class LabGuest {
  #lab: LabVf;
  readonly #vsiId: number;
  readonly #txNext: number[] = [];
  readonly #rxNext: number[] = [];

  constructor(lab: LabVf) {
    this.#lab = lab;
    this.#vsiId = lab.vf.state.pf.vsiId;
  }

  /** The VM goes on with this VF. */
  moveTo(lab: LabVf): void {
    this.#lab = lab;
  }

  /** Sends a request to the PF; returns the status. */
  say(op: VirtchnlOp, bytes: Uint8Array = new Uint8Array(0)): number {
    return this.#lab.vf.pf.handleMessage(VIRTCHNL_OPS[op], virtchnlRequest(op, bytes));
  }

  must(op: VirtchnlOp, bytes?: Uint8Array): void {
    const status = this.say(op, bytes);
    if (status !== 0) throw new Error(`${op} gives status ${status}`);
  }

  /** From VERSION to enabled queues with posted Rx buffers, in the order of iavf. */
  start(queues = 4): void {
    this.must('VERSION', VirtchnlVersionInfo.encode({ major: 1, minor: 1 }));
    const caps = ['L2', 'VLAN', 'RSS_PF', 'RX_FLEX_DESC', 'WB_ON_ITR'] as const;
    const flags = caps.reduce((sum, cap) => sum | VIRTCHNL_CAPS[cap], 0);
    this.must('GET_VF_RESOURCES', VirtchnlWantedCaps.encode({ vf_cap_flags: flags }));
    this.rssKey(1);
    this.must(
      'CONFIG_RSS_LUT',
      VirtchnlRssLut.encode({
        head: { vsi_id: this.#vsiId, lut_entries: 64 },
        items: Array.from({ length: 64 }, () => ({ lut: 0 })),
      }),
    );
    this.mac('ADD_ETH_ADDR', MAC);
    this.configure(queues);
    this.select('ENABLE_QUEUES', 2 ** queues - 1);
    for (let queue = 0; queue < queues; queue++) this.post(queue, RING - 1);
  }

  rssKey(seed: number): void {
    const items = Array.from({ length: 52 }, (_, at) => ({ key: (at * 7 + seed) & 0xff }));
    this.must('CONFIG_RSS_KEY', VirtchnlRssKey.encode({ head: { vsi_id: this.#vsiId, key_len: 52 }, items }));
  }

  hashcfg(value: bigint): number {
    return this.say('SET_RSS_HASHCFG', VirtchnlRssHashcfg.encode({ hashcfg: value }));
  }

  mac(op: 'ADD_ETH_ADDR' | 'DEL_ETH_ADDR', addr: Uint8Array): number {
    const head = { vsi_id: this.#vsiId, num_elements: 1 };
    return this.say(op, VirtchnlEtherAddrList.encode({ head, items: [{ addr, type: 0, pad: 0 }] }));
  }

  vlan(op: 'ADD_VLAN' | 'DEL_VLAN', vlan_id: number): number {
    const head = { vsi_id: this.#vsiId, num_elements: 1 };
    return this.say(op, VirtchnlVlanFilterList.encode({ head, items: [{ vlan_id }] }));
  }

  promisc(flags: number): number {
    return this.say('CONFIG_PROMISCUOUS_MODE', VirtchnlPromiscInfo.encode({ vsi_id: this.#vsiId, flags }));
  }

  configure(queues: number): number {
    const vsi_id = this.#vsiId;
    const pairs = Array.from({ length: queues }, (_, queue_id) => ({
      txq: VirtchnlTxqInfo.encode({
        vsi_id,
        queue_id,
        ring_len: RING,
        headwb_enabled: 0,
        dma_ring_addr: BigInt(TX_RINGS + queue_id * RING * 16),
        dma_headwb_addr: 0n,
      }),
      rxq: VirtchnlRxqInfo.encode({
        vsi_id,
        queue_id,
        ring_len: RING,
        hdr_size: 0,
        splithdr_enabled: 0,
        databuffer_size: BUFFER,
        max_pkt_size: 1522,
        crc_disable: 0,
        rxdid: 1,
        flags: 0,
        pad1: 0,
        dma_ring_addr: BigInt(RX_RINGS + queue_id * RING * 32),
        rx_split_pos: 0,
        pad2: 0,
      }),
    }));
    const config = { head: { vsi_id, num_queue_pairs: queues, pad: 0 }, items: pairs };
    const status = this.say('CONFIG_VSI_QUEUES', VirtchnlVsiQueueConfig.encode(config));
    const map = (vector_id: number, queue: number) => ({
      vsi_id,
      vector_id,
      rxq_map: queue,
      txq_map: queue,
      rxitr_idx: 0,
      txitr_idx: 1,
    });
    const items = Array.from({ length: queues }, (_, queue) => map(queue + 1, 1 << queue));
    items.push(map(0, 0));
    return (
      status ||
      this.say('CONFIG_IRQ_MAP', VirtchnlIrqMap.encode({ head: { num_vectors: items.length }, items }))
    );
  }

  select(op: 'ENABLE_QUEUES' | 'DISABLE_QUEUES', queues: number): number {
    const select = { vsi_id: this.#vsiId, pad: 0, rx_queues: queues, tx_queues: queues };
    return this.say(op, VirtchnlQueueSelect.encode(select));
  }

  /** Writes a register of BAR 0. */
  write(offset: number, value: number): void {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    this.#lab.vf.writeRegion(0, offset, bytes);
  }

  read(offset: number): number {
    const bytes = this.#lab.vf.readRegion(0, offset, 4);
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  }

  /** Enables the interrupt of a vector, 1 and up. */
  unmask(vector: number): void {
    this.write(0x3800 + 4 * (vector - 1), 1 | (3 << 3));
  }

  /** Hands so many Rx descriptors over. */
  post(queue: number, count: number): void {
    const { memory } = this.#lab;
    const tail = this.read(0x2000 + 4 * queue);
    for (let index = 0; index < count; index++) {
      const slot = (tail + index) % RING;
      const descriptor = { pkt_addr: bufferOf(RX_BUFFERS, queue, slot), hdr_addr: 0n, rsvd1: 0n, rsvd2: 0n };
      memory.bytes.set(E810RxDescriptor.encode(descriptor), RX_RINGS + (queue * RING + slot) * 32);
    }
    this.write(0x2000 + 4 * queue, (tail + count) % RING);
  }

  /** Puts a frame into a Tx ring and rings the doorbell. */
  send(queue: number, number: number): void {
    const { memory } = this.#lab;
    const slot = this.#txNext[queue] ?? 0;
    const bytes = frame(number, { to: PEER });
    const buffer = bufferOf(TX_BUFFERS, queue, slot);
    memory.bytes.set(bytes, Number(buffer));
    const { CMD, CMD_SHIFT, BUFFER_SIZE_SHIFT } = E810_TX;
    const word = (BigInt(CMD.EOP | CMD.RS) << CMD_SHIFT) | (BigInt(bytes.length) << BUFFER_SIZE_SHIFT);
    const descriptor = { buffer_addr: buffer, cmd_type_offset_bsz: word };
    memory.bytes.set(E810TxDescriptor.encode(descriptor), TX_RINGS + (queue * RING + slot) * 16);
    this.#txNext[queue] = (slot + 1) % RING;
    this.write(4 * queue, this.#txNext[queue]!);
  }

  /** Numbers of the frames that have come on a queue since the last call, up to the first empty descriptor. */
  received(queue = 0): number[] {
    const { memory } = this.#lab;
    const numbers: number[] = [];
    for (let slot = this.#rxNext[queue] ?? 0; ; slot = (slot + 1) % RING) {
      const at = RX_RINGS + (queue * RING + slot) * 32;
      const status = new DataView(memory.bytes.buffer, at + 8).getUint32(0, true);
      this.#rxNext[queue] = slot;
      if (!(status & 1)) return numbers;
      const buffer = Number(bufferOf(RX_BUFFERS, queue, slot));
      numbers.push(numberOf(memory.bytes.subarray(buffer, buffer + 64)));
      memory.bytes.fill(0, at, at + 32);
    }
  }
}

const bufferOf = (area: number, queue: number, slot: number): bigint =>
  BigInt(area + (queue * RING + slot) * BUFFER);

/** A VF whose guest has started, with a place of its own in each ring. */
export function running(options: Partial<E810VfOptions> = {}): { lab: LabVf; guest: LabGuest } {
  const lab = newVf(options);
  const guest = new LabGuest(lab);
  guest.start(options.queuePairs ?? 4);
  for (let number = 0; number < 5; number++) {
    guest.send(0, number);
    guest.send(1, 100 + number);
    lab.vf.hardware.receive(frame(200 + number));
  }
  lab.vf.tick(100);
  guest.received();
  lab.sent.length = 0;
  return { lab, guest };
}

/** Saves from where the device is and loads into the other, which ends in STOP. */
export async function transfer(from: Device, to: Device, size: () => number = () => 1000): Promise<void> {
  const save = (await from.setState('STOP_COPY')) as DataFd;
  const load = (await to.setState('RESUMING')) as DataFd;
  await pour(load, await drain(save, 4096), size);
  await from.setState('STOP');
  await to.setState('STOP');
  await Promise.all([save.close(), load.close()]);
}

/** What has to be the same on both sides: all but the number of the VSI on its host, which stands in the log too. */
export function portable({ pf, ...state }: VfState): object {
  const { vsiId: _, log, ...rest } = pf;
  return { ...state, pf: { ...rest, log: log.map(({ opcode, payload }) => [opcode, payload.length]) } };
}
