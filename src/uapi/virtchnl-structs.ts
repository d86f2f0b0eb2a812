/**
 * Layouts of virtchnl messages. A message that ends in an array once had its first element inside the struct,
 * so its length in a request counts one element more than there are: `virtchnl-requests.ts`.
 *
 * Source: `include/linux/avf/virtchnl.h` of Linux 7.2.
 */
import { flexible, struct, type ValueOf } from './struct.js';

/** VERSION, both ways. */
export const VirtchnlVersionInfo = struct('virtchnl_version_info', { major: 'u32', minor: 'u32' });

/** Request of GET_VF_RESOURCES in version 1.1: the wanted capabilities. */
export const VirtchnlWantedCaps = struct('virtchnl_wanted_caps', { vf_cap_flags: 'u32' });

/** A VSI in the reply to GET_VF_RESOURCES. */
export const VirtchnlVsiResource = struct('virtchnl_vsi_resource', {
  vsi_id: 'u16',
  num_queue_pairs: 'u16',
  vsi_type: 's32',
  qset_handle: 'u16',
  default_mac_addr: { bytes: 6 },
});

/** Reply to GET_VF_RESOURCES; ice sends room for one VSI more than it has. */
export const VirtchnlVfResource = flexible(
  struct('virtchnl_vf_resource', {
    num_vsis: 'u16',
    num_queue_pairs: 'u16',
    max_vectors: 'u16',
    max_mtu: 'u16',
    vf_cap_flags: 'u32',
    rss_key_size: 'u32',
    rss_lut_size: 'u32',
  }),
  VirtchnlVsiResource,
  'num_vsis',
);

/** A Tx queue in CONFIG_VSI_QUEUES. */
export const VirtchnlTxqInfo = struct('virtchnl_txq_info', {
  vsi_id: 'u16',
  queue_id: 'u16',
  ring_len: 'u16',
  headwb_enabled: 'u16',
  dma_ring_addr: 'u64',
  dma_headwb_addr: 'u64',
});

/** An Rx queue in CONFIG_VSI_QUEUES. */
export const VirtchnlRxqInfo = struct('virtchnl_rxq_info', {
  vsi_id: 'u16',
  queue_id: 'u16',
  ring_len: 'u32',
  hdr_size: 'u16',
  splithdr_enabled: 'u16',
  databuffer_size: 'u32',
  max_pkt_size: 'u32',
  crc_disable: 'u8',
  rxdid: 'u8',
  flags: 'u8',
  pad1: 'u8',
  dma_ring_addr: 'u64',
  rx_split_pos: 's32',
  pad2: 'u32',
});

/** CONFIG_VSI_QUEUES: `txq` and `rxq` of a pair are the two structs above. */
export const VirtchnlVsiQueueConfig = flexible(
  struct('virtchnl_vsi_queue_config_info', { vsi_id: 'u16', num_queue_pairs: 'u16', pad: 'u32' }),
  struct('virtchnl_queue_pair_info', {
    txq: { bytes: VirtchnlTxqInfo.size },
    rxq: { bytes: VirtchnlRxqInfo.size },
  }),
  'num_queue_pairs',
);

/** An entry of CONFIG_IRQ_MAP; the maps are bits by queue. */
export const VirtchnlVectorMap = struct('virtchnl_vector_map', {
  vsi_id: 'u16',
  vector_id: 'u16',
  rxq_map: 'u16',
  txq_map: 'u16',
  rxitr_idx: 'u16',
  txitr_idx: 'u16',
});

/** Payload of CONFIG_IRQ_MAP: a head, then a map for each vector. */
export const VirtchnlIrqMap = flexible(
  struct('virtchnl_irq_map_info', { num_vectors: 'u16' }),
  VirtchnlVectorMap,
  'num_vectors',
);

/** ENABLE_QUEUES, DISABLE_QUEUES, GET_STATS; the queues are bits. */
export const VirtchnlQueueSelect = struct('virtchnl_queue_select', {
  vsi_id: 'u16',
  pad: 'u16',
  rx_queues: 'u32',
  tx_queues: 'u32',
});

/** Payload of ADD_ETH_ADDR and DEL_ETH_ADDR: a head, then addresses. */
export const VirtchnlEtherAddrList = flexible(
  struct('virtchnl_ether_addr_list', { vsi_id: 'u16', num_elements: 'u16' }),
  struct('virtchnl_ether_addr', { addr: { bytes: 6 }, type: 'u8', pad: 'u8' }),
  'num_elements',
);

/** Payload of ADD_VLAN and DEL_VLAN: a head, then VLAN ids. */
export const VirtchnlVlanFilterList = flexible(
  struct('virtchnl_vlan_filter_list', { vsi_id: 'u16', num_elements: 'u16' }),
  struct('virtchnl_vlan_id', { vlan_id: 'u16' }),
  'num_elements',
);

/** Payload of CONFIG_PROMISCUOUS_MODE. */
export const VirtchnlPromiscInfo = struct('virtchnl_promisc_info', { vsi_id: 'u16', flags: 'u16' });

/** Reply to GET_STATS, `struct virtchnl_eth_stats`. */
export const VirtchnlEthStats = struct('virtchnl_eth_stats', {
  rx_bytes: 'u64',
  rx_unicast: 'u64',
  rx_multicast: 'u64',
  rx_broadcast: 'u64',
  rx_discards: 'u64',
  rx_unknown_protocol: 'u64',
  tx_bytes: 'u64',
  tx_unicast: 'u64',
  tx_multicast: 'u64',
  tx_broadcast: 'u64',
  tx_discards: 'u64',
  tx_errors: 'u64',
});

/** EVENT, from the PF only. `link_speed` is a bit or Mbit/s, by the capability ADV_LINK_SPEED. */
export const VirtchnlPfEvent = struct('virtchnl_pf_event', {
  event: 's32',
  link_speed: 'u32',
  link_status: 'u8',
  pad: { bytes: 3 },
  severity: 's32',
});

/** Payload of CONFIG_RSS_KEY: a head, then the bytes of the key. */
export const VirtchnlRssKey = flexible(
  struct('virtchnl_rss_key', { vsi_id: 'u16', key_len: 'u16' }),
  struct('virtchnl_rss_key_byte', { key: 'u8' }),
  'key_len',
);

/** Payload of CONFIG_RSS_LUT: a head, then the entries. */
export const VirtchnlRssLut = flexible(
  struct('virtchnl_rss_lut', { vsi_id: 'u16', lut_entries: 'u16' }),
  struct('virtchnl_rss_lut_entry', { lut: 'u8' }),
  'lut_entries',
);

/** Payload of CONFIG_RSS_HFUNC. */
export const VirtchnlRssHfunc = struct('virtchnl_rss_hfunc', {
  vsi_id: 'u16',
  reserved: 'u16',
  rss_algorithm: 'u32',
});

/** Reply to GET_RSS_HASHCFG_CAPS, request of SET_RSS_HASHCFG. */
export const VirtchnlRssHashcfg = struct('virtchnl_rss_hashcfg', { hashcfg: 'u64' });

/** REQUEST_QUEUES, and its reply when it is not granted. */
export const VirtchnlVfResRequest = struct('virtchnl_vf_res_request', { num_queue_pairs: 'u16' });

/** Reply to GET_SUPPORTED_RXDIDS: bits by RXDID. */
export const VirtchnlSupportedRxdids = struct('virtchnl_supported_rxdids', { supported_rxdids: 'u64' });

/** Reply to GET_OFFLOAD_VLAN_V2_CAPS, `struct virtchnl_vlan_caps`, its parts spelled out. */
export const VirtchnlVlanCaps = struct('virtchnl_vlan_caps', {
  filtering_outer: 'u32',
  filtering_inner: 'u32',
  filtering_ethertype_init: 'u32',
  max_filters: 'u16',
  filtering_pad: { bytes: 2 },
  stripping_outer: 'u32',
  stripping_inner: 'u32',
  insertion_outer: 'u32',
  insertion_inner: 'u32',
  offloads_ethertype_init: 'u32',
  ethertype_match: 'u8',
  offloads_pad: { bytes: 3 },
});

/** ADD_VLAN_V2, DEL_VLAN_V2. */
export const VirtchnlVlanFilterListV2 = flexible(
  struct('virtchnl_vlan_filter_list_v2', { vport_id: 'u16', num_elements: 'u16', pad: { bytes: 4 } }),
  struct('virtchnl_vlan_filter', {
    inner_tci: 'u16',
    inner_tci_mask: 'u16',
    inner_tpid: 'u16',
    inner_pad: { bytes: 2 },
    outer_tci: 'u16',
    outer_tci_mask: 'u16',
    outer_tpid: 'u16',
    outer_pad: { bytes: 2 },
    pad: { bytes: 16 },
  }),
  'num_elements',
);

/** Stripping and insertion, version 2. */
export const VirtchnlVlanSetting = struct('virtchnl_vlan_setting', {
  outer_ethertype_setting: 'u32',
  inner_ethertype_setting: 'u32',
  vport_id: 'u16',
  pad: { bytes: 6 },
});

export type VirtchnlEthStatsValue = ValueOf<typeof VirtchnlEthStats>;
/** A Tx queue, decoded. */
export type VirtchnlTxqInfoValue = ValueOf<typeof VirtchnlTxqInfo>;
/** An Rx queue, decoded. */
export type VirtchnlRxqInfoValue = ValueOf<typeof VirtchnlRxqInfo>;
