import type { VfEnvironment } from '../../devices/e810-vf/environment.js';
import { E810Hardware } from '../../devices/e810-vf/hardware/hardware.js';
import { E810Pf } from '../../devices/e810-vf/pf/pf.js';
import { newVfState, type VfIdentity, type VfState } from '../../devices/e810-vf/vf-state.js';
import {
  E810_VF_REGISTER_ARRAYS as ARRAYS,
  E810MailboxDescriptor as Descriptor,
  E810_RX_LEGACY,
  E810_TX,
  E810RxLegacyWriteback,
  E810_MAILBOX_FLAGS as FLAGS,
  E810_VF_REGISTERS as REG,
  VF_MAILBOX_LEN,
  VIRTCHNL_CAPS,
  VIRTCHNL_OPS,
  VirtchnlEtherAddrList,
  VirtchnlIrqMap,
  type VirtchnlOp,
  VirtchnlQueueSelect,
  VirtchnlRxqInfo,
  VirtchnlTxqInfo,
  VirtchnlVersionInfo,
  VirtchnlVlanFilterList,
  VirtchnlVlanFilterListV2,
  VirtchnlVlanSetting,
  VirtchnlVsiQueueConfig,
  VirtchnlWantedCaps,
  virtchnlRequest,
} from '../../src/uapi/index.js';
import { TestMemory } from './memory.js';

export const MAC = Uint8Array.of(2, 0, 0, 0, 0, 0x11);
export const PEER = Uint8Array.of(2, 0, 0, 0, 0, 0x99);
export const VSI = 7;

/** Where the guest of these tests keeps what. */
export const AT = {
  atq: 0x1000,
  arq: 0x2000,
  atqBuffers: 0x10000,
  arqBuffers: 0x40000,
  tx: (queue: number) => 0x80000 + queue * 0x4000,
  rx: (queue: number) => 0xc0000 + queue * 0x4000,
  txBuffers: (queue: number) => 0x100000 + queue * 0x40000,
  rxBuffers: (queue: number) => 0x200000 + queue * 0x40000,
} as const;
export const MEMORY = 0x300000;
export const RING = 64;
export const MAILBOX = 32;
const BUFFER = 4096;
export const RX_BUFFER = 2048;

/** A message that has arrived in the ARQ. */
export interface Message {
  opcode: number;
  status: number;
  payload: Uint8Array;
}

/** All of a VF in a machine, with a guest that does what a test says. */
export class Bench {
  readonly memory = new TestMemory(MEMORY);
  readonly interrupts: number[] = [];
  readonly sent: Uint8Array[] = [];
  readonly state: VfState;
  readonly hardware: E810Hardware;
  readonly pf: E810Pf;
  #taken = 0;

  constructor(identity: Partial<VfIdentity> = {}, memory?: VfEnvironment['memory']) {
    this.state = newVfState({ queuePairs: 4, hostMac: MAC, vsiId: VSI, ...identity });
    this.hardware = new E810Hardware(this.state, {
      memory: memory ?? this.memory,
      interrupt: (vector) => this.interrupts.push(vector),
      transmit: (frame) => this.sent.push(frame.slice()),
    });
    this.pf = new E810Pf(this.state, this.hardware);
  }

  read(offset: number): number {
    return this.hardware.readRegister(offset);
  }

  write(offset: number, value: number): void {
    this.hardware.writeRegister(offset, value);
  }

  /** Both mailbox queues as iavf sets them up, with all buffers posted. */
  openMailbox(): this {
    for (let index = 0; index < MAILBOX; index++) this.postMailboxBuffer(index);
    this.write(REG.VF_ATQH1, 0);
    this.write(REG.VF_ATQT1, 0);
    this.write(REG.VF_ATQLEN1, MAILBOX + VF_MAILBOX_LEN.ENABLE);
    this.write(REG.VF_ATQBAL1, AT.atq);
    this.write(REG.VF_ATQBAH1, 0);
    this.write(REG.VF_ARQH1, 0);
    this.write(REG.VF_ARQT1, 0);
    this.write(REG.VF_ARQLEN1, MAILBOX + VF_MAILBOX_LEN.ENABLE);
    this.write(REG.VF_ARQBAL1, AT.arq);
    this.write(REG.VF_ARQBAH1, 0);
    this.write(REG.VF_ARQT1, MAILBOX - 1);
    this.#taken = 0;
    return this;
  }

  postMailboxBuffer(index: number, datalen = BUFFER): void {
    const flags = FLAGS.BUF | (datalen > 512 ? FLAGS.LB : 0);
    const fields = {
      opcode: 0,
      retval: 0,
      cookie_high: 0,
      cookie_low: 0,
      param0: 0,
      param1: 0,
      addr_high: 0,
    };
    const addr_low = AT.arqBuffers + index * BUFFER;
    this.memory.put(
      AT.arq + index * Descriptor.size,
      Descriptor.encode({ ...fields, flags, datalen, addr_low }),
    );
  }

  /** Puts a request into the ATQ and rings the doorbell. Returns the index of its descriptor. */
  post(opcode: number, payload: Uint8Array = new Uint8Array(0), over: object = {}): number {
    // A tail that was spoilt before is taken as the hardware takes it: a place in the ring.
    const index = this.read(REG.VF_ATQT1) % MAILBOX;
    const addr_low = AT.atqBuffers + index * BUFFER;
    this.memory.put(addr_low, payload);
    const large = payload.length > 512 ? FLAGS.LB : 0;
    const descriptor = {
      flags: payload.length > 0 ? FLAGS.BUF | FLAGS.RD | FLAGS.SI | large : FLAGS.SI,
      opcode: 0x0801,
      datalen: payload.length,
      retval: 0,
      cookie_high: opcode,
      cookie_low: 0,
      param0: 0,
      param1: 0,
      addr_high: 0,
      addr_low,
      ...over,
    };
    this.memory.put(AT.atq + index * Descriptor.size, Descriptor.encode(descriptor));
    this.write(REG.VF_ATQT1, (index + 1) % MAILBOX);
    return index;
  }

  /** Takes what has come into the ARQ, and posts the buffers anew. */
  messages(): Message[] {
    const out: Message[] = [];
    // A reset has taken the ring away.
    if (!(this.read(REG.VF_ARQLEN1) & VF_MAILBOX_LEN.ENABLE)) return out;
    while (this.#taken !== (this.read(REG.VF_ARQH1) & 0x3ff)) {
      const index = this.#taken;
      const fields = Descriptor.decode(this.memory.at(AT.arq + index * Descriptor.size, Descriptor.size));
      const payload = this.memory.at(AT.arqBuffers + index * BUFFER, fields.datalen).slice();
      out.push({ opcode: fields.cookie_high, status: fields.cookie_low | 0, payload });
      this.postMailboxBuffer(index);
      this.write(REG.VF_ARQT1, index);
      this.#taken = (index + 1) % MAILBOX;
    }
    return out;
  }

  /** Sends a request through the mailbox. Returns all that came back. */
  request(op: VirtchnlOp | number, payload?: Uint8Array): Message[] {
    const opcode = typeof op === 'number' ? op : VIRTCHNL_OPS[op];
    const whole = payload && typeof op !== 'number' ? virtchnlRequest(op, payload) : payload;
    this.post(opcode, whole);
    this.hardware.tick(1);
    return this.messages();
  }

  /** Status of the answer to a request. */
  status(op: VirtchnlOp | number, payload?: Uint8Array): number | undefined {
    const opcode = typeof op === 'number' ? op : VIRTCHNL_OPS[op];
    return this.request(op, payload).find((message) => message.opcode === opcode)?.status;
  }

  /** VERSION and GET_VF_RESOURCES. */
  negotiate(caps: number = VIRTCHNL_CAPS.L2 | VIRTCHNL_CAPS.RSS_PF | VIRTCHNL_CAPS.VLAN): this {
    this.openMailbox();
    this.request('VERSION', VirtchnlVersionInfo.encode({ major: 1, minor: 1 }));
    this.request('GET_VF_RESOURCES', VirtchnlWantedCaps.encode({ vf_cap_flags: caps >>> 0 }));
    return this;
  }

  /** As `negotiate`, then address, queues and interrupts, as iavf brings an interface up. */
  up({ queues = 1, caps, rxq }: { queues?: number; caps?: number; rxq?: object } = {}): this {
    this.negotiate(caps);
    this.request('ADD_ETH_ADDR', addresses(MAC));
    this.request('CONFIG_VSI_QUEUES', queueConfig(queues, { rxq }));
    this.request('CONFIG_IRQ_MAP', irqMap(queues));
    this.postRx(queues);
    this.request('ENABLE_QUEUES', selection((1 << queues) - 1));
    this.write(REG.VFINT_DYN_CTL01, 1 | (3 << 3));
    this.enableVectors(queues);
    return this;
  }

  enableVectors(queues: number): void {
    for (let index = 0; index < queues; index++)
      this.write(ARRAYS.VFINT_DYN_CTLN1.offset + 4 * index, 1 | (3 << 3));
  }

  /** Fills all Rx rings with buffers. */
  postRx(queues: number): void {
    for (let queue = 0; queue < queues; queue++) {
      for (let slot = 0; slot < RING; slot++) this.postRxBuffer(queue, slot);
      this.write(ARRAYS.QRX_TAIL1.offset + 4 * queue, RING - 1);
    }
  }

  postRxBuffer(queue: number, slot: number, address = AT.rxBuffers(queue) + slot * RX_BUFFER): void {
    const at = AT.rx(queue) + slot * 32;
    this.memory.put(at, new Uint8Array(32));
    this.memory.setU64(at, BigInt(address));
  }

  /** Puts a frame into the Tx ring of a queue, cut into so many buffers. Does not ring the doorbell. */
  putTx(
    queue: number,
    slot: number,
    frame: Uint8Array,
    { parts = 1, cmd = E810_TX.CMD.RS as number, tag = 0 } = {},
  ): number {
    const size = Math.ceil(frame.length / parts);
    for (let part = 0; part < parts; part++) {
      const bytes = frame.subarray(part * size, (part + 1) * size);
      const buffer = AT.txBuffers(queue) + ((slot + part) % RING) * RX_BUFFER;
      this.memory.put(buffer, bytes);
      const last = part === parts - 1;
      this.putTxDescriptor(queue, (slot + part) % RING, {
        address: buffer,
        cmd: last ? E810_TX.CMD.EOP | cmd : 0,
        size: bytes.length,
        tag: last ? tag : 0,
      });
    }
    return (slot + parts) % RING;
  }

  putTxDescriptor(
    queue: number,
    slot: number,
    {
      address = 0,
      dtype = 0,
      cmd = 0,
      size = 0,
      tag = 0,
    }: Partial<Record<'address' | 'dtype' | 'cmd' | 'size' | 'tag', number>>,
  ): void {
    const at = AT.tx(queue) + slot * 16;
    this.memory.setU64(at, BigInt(address));
    const word = BigInt(dtype) | (BigInt(cmd) << 4n) | (BigInt(size) << 34n) | (BigInt(tag) << 48n);
    this.memory.setU64(at + 8, word);
  }

  doorbell(queue: number, tail: number): void {
    this.write(ARRAYS.QTX_TAIL1.offset + 4 * queue, tail);
  }
}

/** A frame with these addresses and a payload that tells frames apart. */
export function frame({
  to = MAC,
  from = PEER,
  length = 60,
  mark = 0,
  vlan,
}: {
  to?: Uint8Array;
  from?: Uint8Array;
  length?: number;
  mark?: number;
  vlan?: number;
} = {}): Uint8Array {
  const bytes = new Uint8Array(length).fill(mark & 0xff);
  bytes.set(to, 0);
  bytes.set(from, 6);
  bytes.set([0x88, 0xb5], 12);
  if (vlan !== undefined) bytes.set([0x81, 0, vlan >> 8, vlan & 0xff, 0x88, 0xb5], 12);
  return bytes;
}

export const addresses = (...macs: Uint8Array[]): Uint8Array =>
  VirtchnlEtherAddrList.encode({
    head: { vsi_id: VSI, num_elements: macs.length },
    items: macs.map((addr) => ({ addr, type: 1, pad: 0 })),
  });

export const selection = (tx: number, rx = tx, vsi_id = VSI): Uint8Array =>
  VirtchnlQueueSelect.encode({ vsi_id, pad: 0, rx_queues: rx, tx_queues: tx });

export const irqMap = (queues: number): Uint8Array =>
  VirtchnlIrqMap.encode({
    head: { num_vectors: queues },
    items: Array.from({ length: queues }, (_, index) => ({
      vsi_id: VSI,
      vector_id: index + 1,
      rxq_map: 1 << index,
      txq_map: 1 << index,
      rxitr_idx: 0,
      txitr_idx: 1,
    })),
  });

/** CONFIG_VSI_QUEUES of the first queues; `txq` and `rxq` change fields of all pairs. */
export function queueConfig(
  queues: number,
  { txq = {}, rxq = {}, vsiId = VSI }: { txq?: object; rxq?: object | undefined; vsiId?: number } = {},
): Uint8Array {
  const items = Array.from({ length: queues }, (_, index) => ({
    txq: VirtchnlTxqInfo.encode({
      vsi_id: vsiId,
      queue_id: index,
      ring_len: RING,
      headwb_enabled: 0,
      dma_ring_addr: BigInt(AT.tx(index)),
      dma_headwb_addr: 0n,
      ...txq,
    }),
    rxq: VirtchnlRxqInfo.encode({
      vsi_id: vsiId,
      queue_id: index,
      ring_len: RING,
      hdr_size: 0,
      splithdr_enabled: 0,
      databuffer_size: RX_BUFFER,
      max_pkt_size: 1522,
      crc_disable: 0,
      rxdid: 1,
      flags: 0,
      pad1: 0,
      dma_ring_addr: BigInt(AT.rx(index)),
      rx_split_pos: 0,
      pad2: 0,
      ...rxq,
    }),
  }));
  return VirtchnlVsiQueueConfig.encode({ head: { vsi_id: vsiId, num_queue_pairs: queues, pad: 0 }, items });
}

export const vlans = (...vids: number[]) =>
  VirtchnlVlanFilterList.encode({
    head: { vsi_id: VSI, num_elements: vids.length },
    items: vids.map((vlan_id) => ({ vlan_id })),
  });

export const filters = (
  ...items: Partial<
    Record<'inner_tci' | 'inner_tpid' | 'outer_tci' | 'outer_tpid' | 'inner_tci_mask', number>
  >[]
) =>
  VirtchnlVlanFilterListV2.encode({
    head: { vport_id: VSI, num_elements: items.length, pad: new Uint8Array(4) },
    items: items.map((item) => ({
      ...{ inner_tci: 0, inner_tci_mask: 0, inner_tpid: 0x8100, inner_pad: new Uint8Array(2) },
      ...{
        outer_tci: 0,
        outer_tci_mask: 0,
        outer_tpid: 0,
        outer_pad: new Uint8Array(2),
        pad: new Uint8Array(16),
      },
      ...item,
    })),
  });

export const setting = (inner: number, outer = 0, vport_id = VSI) =>
  VirtchnlVlanSetting.encode({
    ...{ outer_ethertype_setting: outer, inner_ethertype_setting: inner, vport_id, pad: new Uint8Array(6) },
  });

/** A legacy Rx descriptor that was written back. */
export const legacy = (bench: Bench, slot: number, queue = 0) => {
  const fields = E810RxLegacyWriteback.decode(bench.memory.at(AT.rx(queue) + slot * 32, 32));
  const word = fields.status_error_len;
  return {
    ...fields,
    status: Number(word & 0x3fff_ffffn),
    ptype: Number((word >> E810_RX_LEGACY.PTYPE_SHIFT) & E810_RX_LEGACY.PTYPE_MASK),
    length: Number((word >> E810_RX_LEGACY.LENGTH_SHIFT) & E810_RX_LEGACY.LENGTH_MASK),
  };
};
