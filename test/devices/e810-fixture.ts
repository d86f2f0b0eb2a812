import type { ImageA, ImageB } from '../../devices/index.js';

/** A VF with four queue pairs, five vectors and one MAC, the same for both generations. */
export const QUEUES = 4;
export const VECTORS = 5;
export const MAC = Uint8Array.of(0x02, 0x1b, 0x21, 0xaa, 0xbb, 0xcc);

const upTo = <T>(length: number, filled: number, value: (index: number) => T, rest: T): T[] =>
  Array.from({ length }, (_, index) => (index < filled ? value(index) : rest));

/** A message whose bytes can be told from others. */
const message = (opcode: number, length: number) => ({
  opcode,
  payload: Uint8Array.from({ length }, (_, at) => (opcode * 16 + at) & 0xff),
});

/** The VF as generation A holds it: version, resources, RSS, MAC, queues, vectors, enable, in this order. */
export const vfA: ImageA = {
  vf_caps: 0x0409_0001,
  num_txq: QUEUES,
  num_rxq: QUEUES,
  int_dyn_ctl: upTo(65, VECTORS, (vector) => 0x0100_0001 + vector, 0),
  int_intr: Array.from({ length: 4 }, (_, itr) => upTo(65, VECTORS, (vector) => 0x20 * itr + vector, 0)),
  asq_bal: 0x1111_0000,
  asq_bah: 0x0000_0001,
  asq_len: 0x8000_0020,
  asq_head: 7,
  asq_tail: 8,
  arq_bal: 0x2222_0000,
  arq_bah: 0x0000_0002,
  arq_len: 0x8000_0020,
  arq_head: 9,
  arq_tail: 10,
  rx_tail: upTo(256, QUEUES, (queue) => 500 + queue, 0),
  vsi_id: 12,
  rx_head: upTo(256, QUEUES, (queue) => 100 + queue, 0),
  tx_head: upTo(256, QUEUES, (queue) => 200 + queue, 0),
  messages: [
    message(1, 8),
    message(3, 4),
    message(23, 57),
    message(24, 69),
    message(10, 20),
    message(6, 8 + 64 * QUEUES),
    message(7, 14 + 12 * VECTORS),
    message(8, 12),
  ],
};

/** The VF as generation B holds it. */
export const vfB: ImageB = {
  numSupportedTlvs: 11,
  vfInfo: {
    dev_lan_addr: MAC,
    hw_lan_addr: MAC,
    driver_caps: 0x0409_8001,
    vlan_v2_caps: Uint8Array.from({ length: 40 }, (_, at) => 0xc0 + at),
    vf_ver_major: 1,
    vf_ver_minor: 1,
    min_tx_rate: 10,
    max_tx_rate: 25_000,
    virtchnl_op_max: 114,
    num_vf_qs: QUEUES,
    num_msix: VECTORS,
    port_vlan_tpid: 0x8100,
    port_vlan_vid: 42,
    port_vlan_prio: 3,
    flags: {
      inner_strip: true,
      outer_strip: false,
      pf_set_mac: false,
      trusted: true,
      spoofchk: true,
      driver_active: true,
      link_forced: false,
      link_up: true,
    },
    opcodes_allowlist: [0x1f80_7ffe, 0x0000_1801, 0x0380_0000, 0],
  },
  msixRegs: Array.from({ length: VECTORS }, (_, vector) => ({
    int_dyn_ctl: 0x0100_0001 + vector,
    int_intr: [0, 1, 2, 3].map((itr) => 0x20 * itr + vector),
    tx_itr_idx: 1,
    rx_itr_idx: 0,
    vector_id: vector,
  })),
  rss: {
    hashcfg: 0x1_0000_8000n,
    key: Uint8Array.from({ length: 52 }, (_, at) => at + 1),
    hfunc: 0,
    lut: Array.from({ length: 64 }, (_, at) => at % QUEUES),
  },
  vlans: [],
  macs: [MAC],
  rxQueues: Array.from({ length: QUEUES }, (_, queue) => ({
    dma: 0x1_0000_0000n + BigInt(queue) * 0x4000n,
    max_frame: 1522,
    rx_buf_len: 2048,
    rxdid: 2,
    count: 512,
    head: 100 + queue,
    tail: 500 + queue,
    queue_id: queue,
    vector_id: 1 + queue,
    flags: { vector_valid: true, crc_strip: true, ena: true },
  })),
  txQueues: Array.from({ length: QUEUES }, (_, queue) => ({
    dma: 0x2_0000_0000n + BigInt(queue) * 0x2000n,
    count: 512,
    head: 200 + queue,
    queue_id: queue,
    vector_id: 1 + queue,
    flags: { vector_valid: true, ena: queue !== 3 },
  })),
  mbxRegs: {
    atq_head: 7,
    atq_tail: 8,
    atq_bal: 0x1111_0000,
    atq_bah: 1,
    atq_len: 0x8000_0020,
    arq_head: 9,
    arq_tail: 10,
    arq_bal: 0x2222_0000,
    arq_bah: 2,
    arq_len: 0x8000_0020,
  },
  stats: {
    rx_bytes: 2n ** 40n,
    rx_unicast: 2n,
    rx_multicast: 3n,
    rx_broadcast: 4n,
    rx_discards: 5n,
    rx_unknown_protocol: 6n,
    tx_bytes: 2n ** 41n,
    tx_unicast: 8n,
    tx_multicast: 9n,
    tx_broadcast: 10n,
    tx_discards: 11n,
    tx_errors: 12n,
  },
};

/** Bytes put down one after another, by hand: the other opinion about what an image looks like. */
export class ByHand {
  #bytes: number[] = [];

  get length(): number {
    return this.#bytes.length;
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }

  u8(...values: number[]): this {
    this.#bytes.push(...values);
    return this;
  }

  u16(...values: number[]): this {
    for (const value of values) this.u8(value & 0xff, (value >> 8) & 0xff);
    return this;
  }

  u32(...values: number[]): this {
    for (const value of values) this.u16(value & 0xffff, Math.floor(value / 0x1_0000));
    return this;
  }

  u64(...values: bigint[]): this {
    for (const value of values) this.u32(Number(value & 0xffff_ffffn), Number(value >> 32n));
    return this;
  }

  raw(bytes: Uint8Array): this {
    return this.u8(...bytes);
  }

  zeros(count: number): this {
    for (let left = count; left > 0; left--) this.u8(0);
    return this;
  }

  to(length: number): this {
    return this.zeros(length - this.length);
  }
}
