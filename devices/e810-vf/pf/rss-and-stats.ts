import {
  VIRTCHNL_LIMITS,
  VIRTCHNL_RSS_ALG,
  VIRTCHNL_RSS_HASHCFG_ALL,
  VIRTCHNL_STATUS,
  VirtchnlEthStats,
  VirtchnlQueueSelect,
  VirtchnlRssHashcfg,
  VirtchnlRssHfunc,
  VirtchnlRssKey,
  VirtchnlRssLut,
} from 'stopcopy/uapi';
import { noStats } from '../vf-state.js';
import { forVsi, type Handler, param, success, successWith, whenActive } from './answer.js';

const configRssKey = forVsi(
  (payload) => VirtchnlRssKey.decode(payload),
  ({ head }) => head.vsi_id,
  ({ pf }, { head, items }) => {
    if (head.key_len !== VIRTCHNL_LIMITS.rssKeyBytes) return param;
    pf.rss.key = Uint8Array.from(items, ({ key }) => key);
    return success;
  },
);

/** What stands in the table is not looked at: a frame for a queue that is not there is discarded. */
const configRssLut = forVsi(
  (payload) => VirtchnlRssLut.decode(payload),
  ({ head }) => head.vsi_id,
  ({ pf }, { head, items }) => {
    if (head.lut_entries !== VIRTCHNL_LIMITS.rssLutEntries) return param;
    pf.rss.lut = Uint8Array.from(items, ({ lut }) => lut);
    return success;
  },
);

/** Whatever is not the symmetric Toeplitz is taken as the plain one. */
const configRssHfunc = forVsi(
  (payload) => VirtchnlRssHfunc.decode(payload),
  ({ vsi_id }) => vsi_id,
  ({ pf }, { rss_algorithm }) => {
    const { TOEPLITZ_SYMMETRIC, TOEPLITZ_ASYMMETRIC } = VIRTCHNL_RSS_ALG;
    pf.rss.hfunc = rss_algorithm === TOEPLITZ_SYMMETRIC ? TOEPLITZ_SYMMETRIC : TOEPLITZ_ASYMMETRIC;
    return success;
  },
);

const getRssHashcfgCaps = whenActive(() =>
  successWith(VirtchnlRssHashcfg.encode({ hashcfg: VIRTCHNL_RSS_HASHCFG_ALL })),
);

const setRssHashcfg = whenActive(({ pf }, payload) => {
  pf.rss.hashcfg = VirtchnlRssHashcfg.decode(payload).hashcfg;
  return success;
});

/** GET_STATS: a refusal has the payload, too. */
const getStats: Handler = ({ pf }, payload) =>
  pf.active && VirtchnlQueueSelect.decode(payload).vsi_id === pf.vsiId
    ? successWith(VirtchnlEthStats.encode(pf.stats))
    : { status: VIRTCHNL_STATUS.ERR_PARAM, payload: VirtchnlEthStats.encode(noStats()) };

export const RSS_AND_STATS_HANDLERS = {
  CONFIG_RSS_KEY: configRssKey,
  CONFIG_RSS_LUT: configRssLut,
  CONFIG_RSS_HFUNC: configRssHfunc,
  GET_RSS_HASHCFG_CAPS: getRssHashcfgCaps,
  SET_RSS_HASHCFG: setRssHashcfg,
  GET_STATS: getStats,
} as const;
