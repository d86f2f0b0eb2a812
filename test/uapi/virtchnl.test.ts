import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkVirtchnlRequest,
  E810MailboxDescriptor,
  E810RxDescriptor,
  E810RxFlexWriteback,
  E810RxLegacyWriteback,
  E810TxDescriptor,
  hasVirtchnlCap,
  type VIRTCHNL_CAPS,
  VIRTCHNL_OP_MAX,
  VIRTCHNL_OPS,
  VIRTCHNL_RSS_HASHCFG_ALL,
  VIRTCHNL_STATUS,
  VirtchnlEtherAddrList,
  VirtchnlEthStats,
  VirtchnlIrqMap,
  type VirtchnlOp,
  VirtchnlPfEvent,
  VirtchnlQueueSelect,
  VirtchnlRssHfunc,
  VirtchnlRssKey,
  VirtchnlRxqInfo,
  VirtchnlTxqInfo,
  VirtchnlVfResource,
  VirtchnlVlanCaps,
  VirtchnlVlanFilterList,
  VirtchnlVlanFilterListV2,
  VirtchnlVlanSetting,
  VirtchnlVsiQueueConfig,
  virtchnlAllowlist,
  virtchnlCapMask,
  virtchnlOp,
  virtchnlRequest,
  virtchnlStatusName,
} from '../../src/uapi/index.js';

const V11 = { major: 1, minor: 1 };
const V10 = { major: 1, minor: 0 };
const { SUCCESS, ERR_PARAM, ERR_OPCODE_MISMATCH } = VIRTCHNL_STATUS;

describe('layouts', () => {
  it('are as long as the header says', () => {
    const sizes = [
      [VirtchnlTxqInfo, 24],
      [VirtchnlRxqInfo, 40],
      [VirtchnlQueueSelect, 12],
      [VirtchnlPfEvent, 16],
      [VirtchnlEthStats, 96],
      [VirtchnlRssHfunc, 8],
      [VirtchnlVlanCaps, 40],
      [VirtchnlVlanSetting, 16],
      [VirtchnlVfResource.head, 20],
      [VirtchnlVfResource.element, 16],
      [VirtchnlVsiQueueConfig.head, 8],
      [VirtchnlVsiQueueConfig.element, 64],
      [VirtchnlIrqMap.element, 12],
      [VirtchnlEtherAddrList.element, 8],
      [VirtchnlVlanFilterListV2.head, 8],
      [VirtchnlVlanFilterListV2.element, 32],
      [E810MailboxDescriptor, 32],
      [E810TxDescriptor, 16],
      [E810RxDescriptor, 32],
      [E810RxLegacyWriteback, 32],
      [E810RxFlexWriteback, 32],
    ] as const;
    expect(sizes.map(([shape]) => [shape.name, shape.size])).toEqual(
      sizes.map(([shape, size]) => [shape.name, size]),
    );
  });

  it('have entries of the irq map at 2, 14, 26', () => {
    expect([0, 1, 2].map((index) => VirtchnlIrqMap.sizeFor(index))).toEqual([2, 14, 26]);
    expect(VirtchnlRxqInfo.offsets.dma_ring_addr).toBe(24);
    expect(E810MailboxDescriptor.offsets.cookie_high).toBe(8);
    expect(E810MailboxDescriptor.offsets.addr_low).toBe(28);
  });
});

/** A request of a list with so many elements, in the length that its rule wants. */
function listed(op: VirtchnlOp, count: number): Uint8Array {
  const at = { CONFIG_IRQ_MAP: 0, CONFIG_RDMA_IRQ_MAP: 0, ENABLE_CHANNELS: 0 }[op as string] ?? 2;
  const bytes = new Uint8Array(4096);
  bytes[at] = count & 0xff;
  bytes[at + 1] = count >> 8;
  return bytes;
}

describe('the length of a request', () => {
  /** Fixed part and bytes for each element, as §2.2 of the reference has them: with the old extra element. */
  const lists: readonly [VirtchnlOp, number, number][] = [
    ['CONFIG_VSI_QUEUES', 72, 64],
    ['CONFIG_IRQ_MAP', 14, 12],
    ['ADD_ETH_ADDR', 12, 8],
    ['DEL_ETH_ADDR', 12, 8],
    ['ADD_VLAN', 6, 2],
    ['DEL_VLAN', 6, 2],
    ['CONFIG_RSS_KEY', 5, 1],
    ['CONFIG_RSS_LUT', 5, 1],
    ['ADD_VLAN_V2', 8, 32],
    ['DEL_VLAN_V2', 8, 32],
    ['CONFIG_RDMA_IRQ_MAP', 4, 12],
    ['CONFIG_QUEUE_BW', 4, 12],
  ];

  it.each(lists)('%s: %i + %i for each element, and no other', (op, base, each) => {
    for (const count of [1, 2, 7]) {
      const whole = listed(op, count);
      const right = base + each * count;
      for (const length of [right - each, right - 1, right, right + 1, right + each]) {
        const status = checkVirtchnlRequest(VIRTCHNL_OPS[op], whole.subarray(0, length), V11);
        expect([length, status]).toEqual([length, length === right ? SUCCESS : ERR_OPCODE_MISMATCH]);
      }
    }
    const empty = listed(op, 0).subarray(0, base);
    expect(checkVirtchnlRequest(VIRTCHNL_OPS[op], empty, V11)).toBe(ERR_OPCODE_MISMATCH);
  });

  const fixed: readonly [VirtchnlOp, number][] = [
    ['VERSION', 8],
    ['RESET_VF', 0],
    ['GET_VF_RESOURCES', 4],
    ['CONFIG_TX_QUEUE', 24],
    ['CONFIG_RX_QUEUE', 40],
    ['ENABLE_QUEUES', 12],
    ['DISABLE_QUEUES', 12],
    ['CONFIG_PROMISCUOUS_MODE', 4],
    ['GET_STATS', 12],
    ['CONFIG_RSS_HFUNC', 8],
    ['RELEASE_RDMA_IRQ_MAP', 0],
    ['GET_RSS_HASHCFG_CAPS', 0],
    ['SET_RSS_HASHCFG', 8],
    ['ENABLE_VLAN_STRIPPING', 0],
    ['DISABLE_VLAN_STRIPPING', 0],
    ['REQUEST_QUEUES', 2],
    ['GET_SUPPORTED_RXDIDS', 0],
    ['ADD_RSS_CFG', 2444],
    ['DEL_RSS_CFG', 2444],
    ['ADD_FDIR_FILTER', 2616],
    ['DEL_FDIR_FILTER', 12],
    ['GET_OFFLOAD_VLAN_V2_CAPS', 0],
    ['ENABLE_VLAN_STRIPPING_V2', 16],
    ['DISABLE_VLAN_STRIPPING_V2', 16],
    ['ENABLE_VLAN_INSERTION_V2', 16],
    ['DISABLE_VLAN_INSERTION_V2', 16],
    ['PTP_GET_CAPS', 48],
    ['PTP_GET_TIME', 16],
    ['GET_QOS_CAPS', 0],
    ['CONFIG_QUANTA', 12],
  ];

  it.each(fixed)('%s: %i', (op, size) => {
    const check = (length: number) => checkVirtchnlRequest(VIRTCHNL_OPS[op], new Uint8Array(length), V11);
    expect(check(size)).toBe(SUCCESS);
    expect(check(size + 1)).toBe(ERR_OPCODE_MISMATCH);
    if (size > 0) expect(check(size - 1)).toBe(ERR_OPCODE_MISMATCH);
  });

  it('of GET_VF_RESOURCES is 0 until version 1.1 was told', () => {
    for (const version of [V10, { major: 0, minor: 0 }, { major: 1, minor: 2 }]) {
      expect(checkVirtchnlRequest(3, new Uint8Array(0), version)).toBe(SUCCESS);
      expect(checkVirtchnlRequest(3, new Uint8Array(4), version)).toBe(ERR_OPCODE_MISMATCH);
    }
  });

  it('does not matter for what no VF sends', () => {
    for (const opcode of [0, 16, 17, 19, 34, 49, 107, 111, VIRTCHNL_OP_MAX, 0xffff_ffff])
      expect(checkVirtchnlRequest(opcode, new Uint8Array(16), V11)).toBe(ERR_PARAM);
  });

  it('is what virtchnlRequest makes of an encoded list', () => {
    const list = VirtchnlVlanFilterList.encode({
      head: { vsi_id: 3, num_elements: 2 },
      items: [{ vlan_id: 5 }, { vlan_id: 6 }],
    });
    expect([...virtchnlRequest('ADD_VLAN', list)]).toEqual([3, 0, 2, 0, 5, 0, 6, 0, 0, 0]);
    const key = VirtchnlRssKey.encode({ head: { vsi_id: 3, key_len: 1 }, items: [{ key: 9 }] });
    expect([...virtchnlRequest('CONFIG_RSS_KEY', key)]).toEqual([3, 0, 1, 0, 9, 0]);
    expect(virtchnlRequest('RESET_VF', new Uint8Array(0)).length).toBe(0);
  });

  it('is judged for any bytes at all', () => {
    fc.assert(
      fc.property(fc.nat(), fc.uint8Array({ maxLength: 300 }), (opcode, payload) => {
        const status = checkVirtchnlRequest(opcode % 130, payload, V11);
        expect([SUCCESS, ERR_PARAM, ERR_OPCODE_MISMATCH]).toContain(status);
      }),
    );
  });
});

describe('names', () => {
  it('go both ways', () => {
    for (const [name, number] of Object.entries(VIRTCHNL_OPS)) expect(virtchnlOp(number)).toBe(name);
    expect(virtchnlOp(16)).toBeUndefined();
    expect(virtchnlStatusName(-5)).toBe('ERR_PARAM');
    expect(virtchnlStatusName(-99)).toBe('-99');
  });

  it('of capabilities give unsigned masks', () => {
    expect(virtchnlCapMask(['L2', 'PTP'])).toBe(0x8000_0001);
    expect(hasVirtchnlCap(0x8000_0000, 'PTP')).toBe(true);
    expect(hasVirtchnlCap(0x7fff_ffff, 'PTP')).toBe(false);
  });

  it('of hashed packet types are 16 bits', () => {
    expect(VIRTCHNL_RSS_HASHCFG_ALL).toBe(0x7f9f_e000_0000n);
  });
});

describe('the allowlist', () => {
  const base = [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 17];
  const by = (...names: (keyof typeof VIRTCHNL_CAPS)[]) =>
    [...virtchnlAllowlist(virtchnlCapMask(names))].filter((opcode) => !base.includes(opcode));

  it('has the working requests without any capability', () => {
    expect([...virtchnlAllowlist(0)].sort((a, b) => a - b)).toEqual(base);
  });

  it('grows by capability', () => {
    expect(by('L2')).toEqual([10, 11, 14]);
    expect(by('VLAN')).toEqual([12, 13, 27, 28]);
    expect(by('VLAN_V2')).toEqual([51, 52, 53, 54, 55, 56, 57]);
    expect(by('RSS_PF')).toEqual([18, 23, 24, 25, 26]);
    expect(by('RX_FLEX_DESC')).toEqual([44]);
    expect(by('REQ_QUEUES')).toEqual([29]);
    expect(by('ADV_RSS_PF')).toEqual([45, 46]);
    expect(by('FDIR_PF')).toEqual([47, 48]);
    expect(by('PTP')).toEqual([60, 61]);
    expect(by('QOS')).toEqual([66, 112, 113]);
    expect(by('ADQ', 'RDMA', 'USO')).toEqual([]);
  });
});
