import { describe, expect, it } from 'vitest';
import {
  VIRTCHNL_CAPS as CAPS,
  VIRTCHNL_RSS_HASHCFG_ALL,
  VIRTCHNL_STATUS,
  VirtchnlEtherAddrList,
  VirtchnlEthStats,
  VirtchnlRssHfunc,
  VirtchnlRssKey,
  VirtchnlRssLut,
  VirtchnlVlanCaps,
} from '../../src/uapi/index.js';
import {
  addresses,
  Bench,
  filters,
  MAC,
  PEER,
  queueConfig,
  selection,
  setting,
  VSI,
  vlans,
} from './e810-guest.js';

const {
  SUCCESS,
  ERR_PARAM: PARAM,
  ERR_NOT_SUPPORTED: NOT_SUPPORTED,
  ERR_ADMIN_QUEUE_ERROR,
} = VIRTCHNL_STATUS;
const GROUP = (last: number) => Uint8Array.of(1, 0, 0x5e, 0, 0, last);

describe('addresses', () => {
  it('of an untrusted VF are its own and groups, up to 18', () => {
    const bench = new Bench().negotiate();
    expect(bench.status('ADD_ETH_ADDR', addresses(MAC, new Uint8Array(6), new Uint8Array(6).fill(255)))).toBe(
      SUCCESS,
    );
    expect(bench.status('ADD_ETH_ADDR', addresses(MAC, PEER))).toBe(ERR_ADMIN_QUEUE_ERROR);
    expect(bench.state.pf.macs).toEqual([MAC]);
    const groups = Array.from({ length: 17 }, (_, index) => GROUP(index));
    expect(bench.status('ADD_ETH_ADDR', addresses(...groups, GROUP(17)))).toBe(PARAM);
    expect(bench.status('ADD_ETH_ADDR', addresses(...groups))).toBe(SUCCESS);
    expect([bench.state.pf.macs.length, bench.status('ADD_ETH_ADDR', addresses(GROUP(17)))]).toEqual([
      18,
      PARAM,
    ]);
    expect(bench.status('DEL_ETH_ADDR', addresses(GROUP(3), GROUP(99), MAC))).toBe(SUCCESS);
    // Its own address, which the host has set, stays.
    expect([bench.state.pf.macs.length, bench.state.pf.deviceMac]).toEqual([17, MAC]);
  });

  it('of a trusted VF are its choice, and its primary one outlives a reset', () => {
    const bench = new Bench({ trusted: true }).negotiate();
    bench.request('ADD_ETH_ADDR', addresses(MAC));
    expect(bench.status('ADD_ETH_ADDR', addresses(PEER))).toBe(SUCCESS);
    expect(bench.status('DEL_ETH_ADDR', addresses(MAC))).toBe(SUCCESS);
    expect([bench.state.pf.macs, bench.state.pf.deviceMac]).toEqual([[PEER], PEER]);
    bench.pf.resetVf();
    expect([bench.state.pf.macs, bench.state.pf.hostMac, bench.state.pf.deviceMac]).toEqual([[], PEER, PEER]);
  });

  it('of old drivers change by adding one and deleting the other', () => {
    const bench = new Bench({ trusted: true }).negotiate();
    const old = (mac: Uint8Array) =>
      VirtchnlEtherAddrList.encode({
        head: { vsi_id: VSI, num_elements: 1 },
        items: [{ addr: mac, type: 0, pad: 0 }],
      });
    bench.request('ADD_ETH_ADDR', old(MAC));
    bench.request('ADD_ETH_ADDR', old(PEER));
    expect(bench.state.pf.deviceMac).toEqual(MAC);
    bench.request('DEL_ETH_ADDR', old(MAC));
    expect([bench.state.pf.deviceMac, bench.state.pf.hostMac]).toEqual([PEER, PEER]);
    bench.request('DEL_ETH_ADDR', old(PEER));
    expect([bench.state.pf.deviceMac, bench.state.pf.hostMac]).toEqual([new Uint8Array(6), PEER]);
  });

  it('matter to promiscuous mode only for a trusted VF; the other is told of success', () => {
    const [untrusted, trusted] = [new Bench().negotiate(), new Bench({ trusted: true }).negotiate()];
    const payload = Uint8Array.of(VSI, 0, 3, 0);
    const bits = ({ state }: Bench) => [state.pf.unicastPromisc, state.pf.multicastPromisc];
    expect([untrusted.status('CONFIG_PROMISCUOUS_MODE', payload), bits(untrusted)]).toEqual([
      SUCCESS,
      [false, false],
    ]);
    expect([trusted.status('CONFIG_PROMISCUOUS_MODE', payload), bits(trusted)]).toEqual([
      SUCCESS,
      [true, true],
    ]);
    trusted.pf.resetVf();
    expect(bits(trusted)).toEqual([false, false]);
  });
});

describe('VLANs', () => {
  it('of an untrusted VF are seven and VLAN 0; more are taken and not added', () => {
    const bench = new Bench().negotiate(CAPS.VLAN);
    expect(bench.status('ADD_VLAN', vlans(0, 1, 2, 3, 4, 5, 6))).toBe(SUCCESS);
    expect(bench.status('ADD_VLAN', vlans(7, 8, 9))).toBe(SUCCESS);
    expect(bench.state.pf.vlans.map(({ vid }) => vid)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(bench.status('DEL_VLAN', vlans(0, 3, 99))).toBe(SUCCESS);
    expect(bench.state.pf.vlans.map(({ vid }) => vid)).toEqual([1, 2, 4, 5, 6, 7]);
    expect(bench.status('ADD_VLAN', vlans(4096))).toBe(PARAM);
    const trusted = new Bench({ trusted: true }).negotiate(CAPS.VLAN);
    trusted.request('ADD_VLAN', vlans(1, 2, 3, 4, 5, 6, 7, 8, 9, 9));
    expect(trusted.state.pf.vlans.length).toBe(9);
  });

  it('strip by request', () => {
    const bench = new Bench().negotiate(CAPS.VLAN);
    expect([bench.status('DISABLE_VLAN_STRIPPING'), bench.state.pf.innerStrip]).toEqual([SUCCESS, false]);
    expect([bench.status('ENABLE_VLAN_STRIPPING'), bench.state.pf.innerStrip]).toEqual([SUCCESS, true]);
  });

  it('of version 2 need the capabilities to be told first', () => {
    const bench = new Bench().negotiate(CAPS.VLAN_V2);
    expect(bench.status('ADD_VLAN_V2', filters({ inner_tci: 5 }))).toBe(PARAM);
    expect(bench.status('DEL_VLAN_V2', filters({ inner_tci: 5 }))).toBe(PARAM);
    expect(bench.status('ENABLE_VLAN_STRIPPING_V2', setting(1))).toBe(PARAM);
    const [reply] = bench.request('GET_OFFLOAD_VLAN_V2_CAPS');
    expect(VirtchnlVlanCaps.decode(reply!.payload)).toMatchObject({
      ...{ filtering_outer: 0, filtering_inner: 1, max_filters: 8 },
      ...{ stripping_inner: 0x8000_0101, insertion_inner: 0x8000_0101, stripping_outer: 0 },
    });
    expect(bench.state.pf.vlanV2Caps).toEqual(reply!.payload);
    expect(bench.status('ENABLE_VLAN_STRIPPING_V2', setting(1))).toBe(SUCCESS);
    expect(bench.state.pf.innerStrip).toBe(true);
    expect([bench.status('DISABLE_VLAN_STRIPPING_V2', setting(1)), bench.state.pf.innerStrip]).toEqual([
      SUCCESS,
      false,
    ]);
    for (const bad of [setting(0), setting(2), setting(3), setting(1, 1), setting(2 ** 31), setting(1, 0, 1)])
      expect(bench.status('ENABLE_VLAN_INSERTION_V2', bad)).toBe(PARAM);
  });

  it('of version 2 are inner tags of 0x8100 by number, up to 8', () => {
    const bench = new Bench().negotiate(CAPS.VLAN_V2);
    bench.request('GET_OFFLOAD_VLAN_V2_CAPS');
    for (const bad of [
      { inner_tci: 5, inner_tpid: 0x88a8 },
      { inner_tci: 0x2005 },
      { inner_tci: 5, inner_tci_mask: 0xfff },
      { outer_tci: 5, outer_tpid: 0x8100 },
    ])
      expect(bench.status('ADD_VLAN_V2', filters(bad))).toBe(PARAM);
    const eight = Array.from({ length: 8 }, (_, index) => ({ inner_tci: index + 1 }));
    expect(bench.status('ADD_VLAN_V2', filters(...eight, { inner_tci: 9 }))).toBe(PARAM);
    expect(bench.status('ADD_VLAN_V2', filters(...eight))).toBe(SUCCESS);
    expect(bench.status('ADD_VLAN_V2', filters({ inner_tci: 9 }))).toBe(PARAM);
    expect(bench.status('DEL_VLAN_V2', filters({ inner_tci: 1 }, { inner_tci: 0 }))).toBe(SUCCESS);
    expect(bench.state.pf.vlans).toEqual(
      eight.slice(1).map(({ inner_tci }) => ({ tpid: 0x8100, vid: inner_tci })),
    );
  });

  it('of version 2 are not stripped while the FCS is kept', () => {
    const bench = new Bench().negotiate(CAPS.VLAN_V2 | CAPS.CRC);
    bench.request('GET_OFFLOAD_VLAN_V2_CAPS');
    bench.request('CONFIG_VSI_QUEUES', queueConfig(1, { rxq: { crc_disable: 1 } }));
    expect(bench.status('ENABLE_VLAN_STRIPPING_V2', setting(1))).toBe(NOT_SUPPORTED);
    expect(bench.status('DISABLE_VLAN_STRIPPING_V2', setting(1))).toBe(SUCCESS);
  });
});

describe('RSS, statistics and formats', () => {
  it('keep what they are told', () => {
    const bench = new Bench().negotiate(CAPS.RSS_PF);
    const key = (length: number) =>
      VirtchnlRssKey.encode({
        head: { vsi_id: VSI, key_len: length },
        items: Array.from({ length }, (_, at) => ({ key: at })),
      });
    const lut = (length: number) =>
      VirtchnlRssLut.encode({
        head: { vsi_id: VSI, lut_entries: length },
        items: Array.from({ length }, (_, at) => ({ lut: at })),
      });
    expect([bench.status('CONFIG_RSS_KEY', key(52)), bench.status('CONFIG_RSS_KEY', key(40))]).toEqual([
      0,
      PARAM,
    ]);
    expect([bench.status('CONFIG_RSS_LUT', lut(64)), bench.status('CONFIG_RSS_LUT', lut(128))]).toEqual([
      0,
      PARAM,
    ]);
    expect([bench.state.pf.rss.key[51], bench.state.pf.rss.lut[63]]).toEqual([51, 63]);
    const [caps] = bench.request('GET_RSS_HASHCFG_CAPS');
    expect(new DataView(caps!.payload.buffer).getBigUint64(0, true)).toBe(VIRTCHNL_RSS_HASHCFG_ALL);
    bench.request('SET_RSS_HASHCFG', Uint8Array.of(0, 0, 0, 0x80, 0, 0, 0, 0));
    expect(bench.state.pf.rss.hashcfg).toBe(0x8000_0000n);
    for (const [rss_algorithm, kept] of [
      [2, 2],
      [3, 0],
    ] as const) {
      bench.request('CONFIG_RSS_HFUNC', VirtchnlRssHfunc.encode({ vsi_id: VSI, reserved: 0, rss_algorithm }));
      expect(bench.state.pf.rss.hfunc).toBe(kept);
    }
  });

  it('answer GET_STATS with counters, also where it is refused', () => {
    const bench = new Bench().up();
    bench.state.pf.stats.rx_bytes = 2n ** 40n;
    bench.state.pf.stats.tx_errors = 3n;
    const [reply] = bench.request('GET_STATS', selection(0));
    expect(VirtchnlEthStats.decode(reply!.payload)).toMatchObject({ rx_bytes: 2n ** 40n, tx_errors: 3n });
    const [refusal] = bench.request('GET_STATS', selection(0, 0, 1));
    expect([refusal!.status, refusal!.payload]).toEqual([PARAM, new Uint8Array(96)]);
  });

  it('answer GET_SUPPORTED_RXDIDS with legacy and flex', () => {
    const [reply] = new Bench().negotiate(CAPS.RX_FLEX_DESC).request('GET_SUPPORTED_RXDIDS');
    expect([...reply!.payload]).toEqual([6, 0, 0, 0, 0, 0, 0, 0]);
  });
});
