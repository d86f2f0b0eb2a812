import { describe, expect, it } from 'vitest';
import { newVfState } from '../../devices/e810-vf/vf-state.js';
import {
  VIRTCHNL_CAPS as CAPS,
  E810_VF_REGISTERS as REG,
  VIRTCHNL_OPS,
  VIRTCHNL_STATUS,
  VIRTCHNL_WORKING_ALLOWLIST,
  VirtchnlIrqMap,
  type VirtchnlOp,
  VirtchnlPfEvent,
  VirtchnlRssHfunc,
  VirtchnlRssKey,
  VirtchnlRssLut,
  VirtchnlVersionInfo,
  VirtchnlVfResource,
  VirtchnlWantedCaps,
  virtchnlAllowlist,
} from '../../src/uapi/index.js';
import {
  addresses,
  Bench,
  filters,
  irqMap,
  MAC,
  queueConfig,
  selection,
  setting,
  VSI,
} from './e810-guest.js';

const { SUCCESS, ERR_PARAM: PARAM, ERR_NOT_SUPPORTED: NOT_SUPPORTED } = VIRTCHNL_STATUS;
const version = (major: number, minor: number) => VirtchnlVersionInfo.encode({ major, minor });
const wanted = (caps: number) => VirtchnlWantedCaps.encode({ vf_cap_flags: caps >>> 0 });

describe('negotiation', () => {
  it('answers the version that it speaks', () => {
    const bench = new Bench().openMailbox();
    expect(bench.request('VERSION', version(1, 1))[0]!.payload).toEqual(version(1, 1));
    expect(bench.request('VERSION', version(1, 0))[0]!.payload).toEqual(version(1, 0));
    expect(bench.request('VERSION', version(2, 7))[0]!.payload).toEqual(version(1, 1));
    expect(bench.state.pf.version).toEqual({ major: 2, minor: 7 });
  });

  it('grants what is wanted and supported, tells the resources, and then the link', () => {
    const bench = new Bench({ queuePairs: 3 }).openMailbox();
    bench.request('VERSION', version(1, 1));
    const [reply, event, ...rest] = bench.request(
      'GET_VF_RESOURCES',
      wanted(CAPS.RSS_PF | CAPS.FDIR_PF | CAPS.CRC),
    );
    expect(rest).toEqual([]);
    expect([reply!.status, reply!.payload.length]).toEqual([SUCCESS, 52]);
    expect(VirtchnlVfResource.decode(reply!.payload)).toEqual({
      head: {
        ...{ num_vsis: 1, num_queue_pairs: 3, max_vectors: 4, max_mtu: 9728 },
        ...{ vf_cap_flags: CAPS.L2 | CAPS.RSS_PF | CAPS.CRC, rss_key_size: 52, rss_lut_size: 64 },
      },
      items: [{ vsi_id: VSI, num_queue_pairs: 3, vsi_type: 6, qset_handle: 0, default_mac_addr: MAC }],
    });
    expect([event!.opcode, VirtchnlPfEvent.decode(event!.payload)]).toMatchObject([
      VIRTCHNL_OPS.EVENT,
      { event: 1, link_speed: 16, link_status: 1, severity: 0 },
    ]);
  });

  it('tells the speed in Mbit/s to who can read it, and a link that is down', () => {
    const bench = new Bench().negotiate(CAPS.ADV_LINK_SPEED);
    bench.pf.tellLink();
    bench.state.pf.linkUp = false;
    bench.pf.tellLink();
    expect(bench.messages().map(({ payload }) => VirtchnlPfEvent.decode(payload))).toMatchObject([
      { link_speed: 100_000, link_status: 1 },
      { link_speed: 0, link_status: 0 },
    ]);
  });

  it('takes no capabilities in version 1.0, and grants L2 and VLAN', () => {
    const bench = new Bench().openMailbox();
    bench.request('VERSION', version(1, 0));
    expect(bench.status('GET_VF_RESOURCES', wanted(0))).toBe(PARAM);
    expect(bench.status('GET_VF_RESOURCES')).toBe(SUCCESS);
    expect(bench.state.pf.caps).toBe(CAPS.L2 | CAPS.VLAN);
  });

  it('prefers VLAN_V2 to VLAN, and with a port VLAN leaves the guest none', () => {
    const both = CAPS.VLAN | CAPS.VLAN_V2;
    expect(new Bench().negotiate(both).state.pf.caps).toBe(CAPS.L2 | CAPS.VLAN_V2);
    expect(new Bench().negotiate(CAPS.VLAN).state.pf.innerStrip).toBe(true);
    expect(new Bench().negotiate(both).state.pf.innerStrip).toBe(false);
    const bench = new Bench();
    bench.state.pf.portVlan = { tpid: 0x8100, vid: 5, prio: 0 };
    bench.negotiate(CAPS.VLAN);
    expect(bench.state.pf.caps).toBe(CAPS.L2);
    const reply = bench.request('GET_VF_RESOURCES', wanted(0))[0]!;
    expect(VirtchnlVfResource.decode(reply.payload).head.max_mtu).toBe(9724);
  });
});

describe('the order of checks', () => {
  it('is: disabled, length, allowlist, handler', () => {
    const bench = new Bench().openMailbox();
    // Not allowed yet: a right length gives NOT_SUPPORTED, a wrong one PARAM.
    expect(bench.status('ENABLE_QUEUES', selection(1))).toBe(NOT_SUPPORTED);
    expect(bench.status('ENABLE_QUEUES', new Uint8Array(11))).toBe(PARAM);
    expect(bench.status(VIRTCHNL_OPS.EVENT, new Uint8Array(16))).toBe(PARAM);
    expect(bench.status(0)).toBe(PARAM);
    expect(bench.status(200)).toBe(PARAM);
    bench.negotiate(CAPS.RSS_PF);
    expect(bench.status('CONFIG_TX_QUEUE', new Uint8Array(24))).toBe(NOT_SUPPORTED);
    expect(bench.status('GET_SUPPORTED_RXDIDS')).toBe(NOT_SUPPORTED);
    expect(bench.status('PTP_GET_CAPS', new Uint8Array(48))).toBe(NOT_SUPPORTED);
    bench.state.pf.disabled = true;
    expect(bench.status('GET_STATS', selection(0))).toBe(PARAM);
    expect(bench.status('PTP_GET_CAPS', new Uint8Array(48))).toBe(PARAM);
  });

  it('opens the allowlist by what was granted, until a reset', () => {
    const bench = new Bench().openMailbox();
    const list = () => [...bench.state.pf.allowlist].sort((a, b) => a - b);
    expect(list()).toEqual([1, 2, 3]);
    bench.negotiate(CAPS.VLAN | CAPS.PTP);
    expect(list()).toEqual([...virtchnlAllowlist(CAPS.L2 | CAPS.VLAN)].sort((a, b) => a - b));
    expect(list()).toEqual(expect.arrayContaining([...VIRTCHNL_WORKING_ALLOWLIST]));
    bench.negotiate(0);
    expect(list()).not.toContain(VIRTCHNL_OPS.ADD_VLAN);
    bench.pf.resetVf();
    expect(list()).toEqual([1, 2, 3]);
  });

  it('asks GET_VF_RESOURCES for INIT, and all others for ACTIVE and the right VSI', () => {
    const bench = new Bench().openMailbox();
    bench.request('VERSION', version(1, 1));
    bench.state.pf.init = false;
    expect(bench.status('GET_VF_RESOURCES', wanted(0))).toBe(PARAM);
    bench.state.pf.init = true;
    bench.negotiate(0xffff_ffff);
    const key = VirtchnlRssKey.encode({
      head: { vsi_id: VSI, key_len: 52 },
      items: Array(52).fill({ key: 1 }),
    });
    const lut = VirtchnlRssLut.encode({
      head: { vsi_id: VSI, lut_entries: 64 },
      items: Array(64).fill({ lut: 1 }),
    });
    const requests: [VirtchnlOp, Uint8Array?][] = [
      ['CONFIG_VSI_QUEUES', queueConfig(1)],
      ['CONFIG_IRQ_MAP', irqMap(1)],
      ['ENABLE_QUEUES', selection(1)],
      ['DISABLE_QUEUES', selection(1)],
      ['ADD_ETH_ADDR', addresses(MAC)],
      ['DEL_ETH_ADDR', addresses(MAC)],
      ['CONFIG_PROMISCUOUS_MODE', Uint8Array.of(VSI, 0, 1, 0)],
      ['GET_STATS', selection(0)],
      ['CONFIG_RSS_HFUNC', VirtchnlRssHfunc.encode({ vsi_id: VSI, reserved: 0, rss_algorithm: 2 })],
      ['CONFIG_RSS_KEY', key],
      ['CONFIG_RSS_LUT', lut],
      ['GET_RSS_HASHCFG_CAPS'],
      ['SET_RSS_HASHCFG', new Uint8Array(8)],
      ['REQUEST_QUEUES', Uint8Array.of(0, 0)],
      ['GET_SUPPORTED_RXDIDS'],
      ['GET_OFFLOAD_VLAN_V2_CAPS'],
      ['ADD_VLAN_V2', filters({ inner_tci: 5 })],
      ['DEL_VLAN_V2', filters({ inner_tci: 5 })],
      ['ENABLE_VLAN_STRIPPING_V2', setting(1)],
      ['DISABLE_VLAN_STRIPPING_V2', setting(1)],
      ['ENABLE_VLAN_INSERTION_V2', setting(1)],
      ['DISABLE_VLAN_INSERTION_V2', setting(1)],
    ];
    bench.request('GET_OFFLOAD_VLAN_V2_CAPS');
    const all = () => requests.map(([op, payload]) => [op, bench.status(op, payload)]);
    expect(all()).toEqual(requests.map(([op]) => [op, SUCCESS]));
    bench.state.pf.active = false;
    expect(all()).toEqual(requests.map(([op]) => [op, PARAM]));
    bench.state.pf.active = true;
    bench.state.pf.vsiId = bench.state.pf.guestVsiId = VSI + 1;
    const withoutVsi = ['GET_RSS_HASHCFG_CAPS', 'SET_RSS_HASHCFG', 'REQUEST_QUEUES', 'GET_SUPPORTED_RXDIDS'];
    for (const [op, status] of all())
      if (!withoutVsi.includes(op as string) && op !== 'GET_OFFLOAD_VLAN_V2_CAPS')
        expect([op, status]).toEqual([op, PARAM]);
  });
});

describe('CONFIG_VSI_QUEUES', () => {
  const status = (payload: Uint8Array, caps: number = CAPS.RX_FLEX_DESC | CAPS.CRC, trusted = false) =>
    new Bench({ queuePairs: 2, trusted }).negotiate(caps).status('CONFIG_VSI_QUEUES', payload);

  it('programs both contexts', () => {
    const bench = new Bench().negotiate();
    bench.write(0x2004, 17);
    bench.state.tx[1]!.tail = 5;
    expect(
      bench.status('CONFIG_VSI_QUEUES', queueConfig(2, { txq: { dma_ring_addr: 0x1_0000_00ffn } })),
    ).toBe(SUCCESS);
    expect(bench.state.tx[1]).toMatchObject({
      ...{ configured: true, enabled: false, base: 0x1_0000_0080, count: 64, head: 0, tail: 0 },
    });
    // What the guest has posted before is not lost.
    expect(bench.state.rx[1]).toMatchObject({
      ...{ configured: true, count: 64, head: 0, tail: 17, bufferSize: 2048, maxFrame: 1522, rxdid: 1 },
      ...{ crcStrip: true, enabled: false },
    });
    expect(bench.state.tx[2]!.configured).toBe(false);
  });

  it.each([
    [0, SUCCESS],
    [32, PARAM],
    [64, SUCCESS],
    [65, PARAM],
    [8160, SUCCESS],
    [8192, PARAM],
  ])('takes a ring of %i: %i', (ring_len, expected) => {
    expect(status(queueConfig(1, { txq: { ring_len } }))).toBe(expected);
    expect(status(queueConfig(1, { rxq: { ring_len } }))).toBe(expected);
  });

  it.each([
    ['more queues than the VF has', queueConfig(3)],
    ['a queue that the VF does not have', queueConfig(1, { txq: { queue_id: 2 }, rxq: { queue_id: 2 } })],
    ['two queue numbers in a pair', queueConfig(1, { txq: { queue_id: 1 } })],
    ['another VSI in the Tx queue', queueConfig(1, { txq: { vsi_id: 1 } })],
    ['another VSI in the Rx queue', queueConfig(1, { rxq: { vsi_id: 1 } })],
    ['another VSI throughout', queueConfig(1, { vsiId: 1 })],
    ['head write-back', queueConfig(1, { txq: { headwb_enabled: 1 } })],
    ['a buffer too small', queueConfig(1, { rxq: { databuffer_size: 127 } })],
    ['a buffer too large', queueConfig(1, { rxq: { databuffer_size: 16257 } })],
    ['packets too short', queueConfig(1, { rxq: { max_pkt_size: 63 } })],
    ['packets too long', queueConfig(1, { rxq: { max_pkt_size: 9729 } })],
    ['a descriptor format that is not there', queueConfig(1, { rxq: { rxdid: 3 } })],
    ['a descriptor format beyond all', queueConfig(1, { rxq: { rxdid: 255 } })],
  ])('refuses %s', (_name, payload) => {
    expect(status(payload)).toBe(PARAM);
  });

  it('keeps the FCS only with CRC, and not while tags are stripped', () => {
    const keep = queueConfig(1, { rxq: { crc_disable: 1 } });
    expect(status(keep)).toBe(SUCCESS);
    expect(status(keep, CAPS.L2)).toBe(PARAM);
    expect(status(keep, CAPS.CRC | CAPS.VLAN)).toBe(PARAM);
  });

  it('chooses the legacy descriptor for who cannot choose, and makes room for the port VLAN', () => {
    const bench = new Bench();
    bench.state.pf.portVlan = { tpid: 0x8100, vid: 5, prio: 0 };
    bench.negotiate(CAPS.L2);
    expect(
      bench.status('CONFIG_VSI_QUEUES', queueConfig(1, { rxq: { rxdid: 77, max_pkt_size: 9724 } })),
    ).toBe(SUCCESS);
    expect(bench.state.rx[0]).toMatchObject({ rxdid: 1, maxFrame: 9728 });
    expect(bench.status('CONFIG_VSI_QUEUES', queueConfig(1, { rxq: { max_pkt_size: 9725 } }))).toBe(PARAM);
  });

  it('disables the queues up to the one that fails', () => {
    const bench = new Bench().up({ queues: 3 });
    const payload = queueConfig(3);
    // Queue 1 gets a ring of 33.
    new DataView(payload.buffer).setUint16(8 + 64 + 4, 33, true);
    expect(bench.status('CONFIG_VSI_QUEUES', payload)).toBe(PARAM);
    expect(bench.state.tx.slice(0, 3).map(({ enabled }) => enabled)).toEqual([false, false, true]);
    expect(bench.state.rx.slice(0, 3).map(({ enabled }) => enabled)).toEqual([false, false, true]);
  });
});

describe('CONFIG_IRQ_MAP', () => {
  const map = (...items: Partial<Record<'vsi_id' | 'vector_id' | 'rxq_map' | 'txq_map', number>>[]) =>
    VirtchnlIrqMap.encode({
      head: { num_vectors: items.length },
      items: items.map((item) => ({
        ...{ vsi_id: VSI, vector_id: 1, rxq_map: 0, txq_map: 0, rxitr_idx: 2, txitr_idx: 7, ...item },
      })),
    });

  it('gives queues their vector and ITR index; vector 0 gets none', () => {
    const bench = new Bench().negotiate();
    expect(
      bench.status('CONFIG_IRQ_MAP', map({ vector_id: 4, rxq_map: 5, txq_map: 2 }, { vector_id: 0 })),
    ).toBe(SUCCESS);
    expect(bench.state.rx.slice(0, 3).map(({ vector, itr }) => [vector, itr])).toEqual([
      [4, 2],
      [null, 0],
      [4, 2],
    ]);
    expect(bench.state.tx.slice(0, 2).map(({ vector, itr }) => [vector, itr])).toEqual([
      [null, 0],
      [4, 3],
    ]);
  });

  it.each([
    ['a vector that the VF does not have', map({ vector_id: 5 })],
    ['a queue on vector 0', map({ vector_id: 0, txq_map: 1 })],
    ['another VSI', map({ vsi_id: 1 })],
    ['a queue that the VF does not have', map({ rxq_map: 16 })],
    ['more entries than vectors', map({}, {}, {}, {}, {}, {})],
  ])('refuses %s', (_name, payload) => {
    expect(new Bench().negotiate().status('CONFIG_IRQ_MAP', payload)).toBe(PARAM);
  });
});

describe('ENABLE_QUEUES and DISABLE_QUEUES', () => {
  it('switch queues, and know when none is left', () => {
    const bench = new Bench().up({ queues: 2 });
    expect(bench.state.pf.queuesEnabled).toBe(true);
    expect(bench.status('DISABLE_QUEUES', selection(1, 3))).toBe(SUCCESS);
    expect([bench.state.tx[1]!.enabled, bench.state.pf.queuesEnabled]).toEqual([true, true]);
    expect(bench.status('DISABLE_QUEUES', selection(2))).toBe(SUCCESS);
    expect(bench.state.pf.queuesEnabled).toBe(false);
    expect(bench.status('ENABLE_QUEUES', selection(0, 2))).toBe(SUCCESS);
    expect([bench.state.rx[1]!.enabled, bench.state.tx[1]!.enabled]).toEqual([true, false]);
  });

  it.each([
    ['no queue', selection(0)],
    ['a queue beyond 16', selection(0x10000)],
    ['a queue that the VF does not have', selection(0x10)],
    ['another VSI', selection(1, 1, 1)],
  ])('refuse %s', (_name, payload) => {
    const bench = new Bench().up({ queues: 4 });
    expect(bench.status('ENABLE_QUEUES', payload)).toBe(PARAM);
    expect(bench.status('DISABLE_QUEUES', payload)).toBe(PARAM);
  });

  it('enable nothing that has no context, and tell the link either way', () => {
    const bench = new Bench().negotiate();
    const messages = bench.request('ENABLE_QUEUES', selection(1));
    expect(messages.map(({ opcode, status }) => [opcode, status])).toEqual([
      [8, PARAM],
      [17, 0],
    ]);
    bench.request('CONFIG_VSI_QUEUES', queueConfig(1));
    const after = bench.request('ENABLE_QUEUES', selection(1));
    expect(after.map(({ opcode, status }) => [opcode, status])).toEqual([
      [8, SUCCESS],
      [17, 0],
    ]);
  });
});

describe('a reset', () => {
  it('brings back a new VF with the settings of the host', () => {
    const bench = new Bench({ trusted: true }).up({ queues: 4 });
    const host = {
      ...{
        spoofCheck: false,
        linkForced: true,
        linkUp: false,
        minTxRate: 5,
        maxTxRate: 9,
        macSetByHost: false,
      },
      portVlan: { tpid: 0x8100, vid: 5, prio: 1 },
    };
    Object.assign(bench.state.pf, host);
    bench.hardware.drainAndStop();
    bench.state.filtersInstalled = false;
    bench.state.pending[1] = 1;
    bench.pf.resetVf();
    const fresh = newVfState({ queuePairs: 4, hostMac: MAC, vsiId: VSI, trusted: true });
    expect(bench.state).toEqual({ ...fresh, pf: { ...fresh.pf, ...host } });
    expect(bench.hardware.stopped).toBe(false);
  });

  it('by RESET_VF is not answered, and ignored while there is one', () => {
    const bench = new Bench().negotiate();
    expect(bench.request('RESET_VF')).toEqual([]);
    expect(bench.state.pf.disabled).toBe(true);
    const idle = new Bench().negotiate();
    idle.state.pf.init = false;
    expect([idle.request('RESET_VF'), idle.read(REG.VFGEN_RSTAT)]).toEqual([[], 2]);
  });

  it('by REQUEST_QUEUES is told by an event, and changes the number of queues', () => {
    const bench = new Bench().negotiate(CAPS.REQ_QUEUES);
    bench.post(VIRTCHNL_OPS.REQUEST_QUEUES, Uint8Array.of(2, 0));
    bench.memory.takeWrites();
    bench.hardware.tick(1);
    // No answer, but the event: the completed descriptor, 16 bytes, and a descriptor of the ARQ.
    const [, event, ...rest] = bench.memory.takeWrites();
    expect([event!.length, rest.length]).toEqual([16, 1]);
    expect(VirtchnlPfEvent.decode(bench.memory.at(event!.iova, 16))).toMatchObject({
      event: 2,
      severity: 255,
    });
    bench.hardware.tick(1);
    bench.hardware.tick(1);
    expect([bench.state.pf.queuePairs, bench.state.pf.vectors]).toEqual([2, 5]);
    bench.negotiate(CAPS.REQ_QUEUES);
    expect(bench.request('REQUEST_QUEUES', Uint8Array.of(9, 0))).toMatchObject([
      { status: SUCCESS, payload: Uint8Array.of(4, 0) },
    ]);
    expect(bench.request('REQUEST_QUEUES', Uint8Array.of(0, 0))).toMatchObject([
      { status: SUCCESS, payload: Uint8Array.of(0, 0) },
    ]);
    expect(bench.state.pf.queuePairs).toBe(2);
  });
});
