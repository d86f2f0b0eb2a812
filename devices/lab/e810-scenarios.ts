/** Migrations that only a VF with its guest driver goes through. */
import { VIRTCHNL_OPS, type VirtchnlOp, VirtchnlPromiscInfo, VirtchnlRssHashcfg } from 'stopcopy/uapi';
import { E810Vf } from '../e810-vf/e810-vf.js';
import { migrate } from './migration.js';
import type { Scenario } from './scenarios.js';
import type { Side } from './side.js';

/**
 * Slices of a long life at most, messages in the log of a PF driver that keeps one when it ends, and slices
 * without a longer log after which it is known to be kept short.
 */
const LONG_LIFE = { slices: 2500, messages: 985, still: 250 };
/** Slices of it where there is no log. */
const SHORT_LIFE = 100;
/** Ticks in which the ring comes round to its start, surely. */
const RING_ROUND = 1000;

function vfOf({ machine }: Side): E810Vf {
  if (machine.device instanceof E810Vf) return machine.device;
  throw new TypeError('not an E810 VF');
}

/** The guest has gone on for long before it is migrated, and goes on. */
export const longLife: Scenario = async (here, there) => {
  const { pf } = vfOf(here).state;
  const slices = pf.logging ? LONG_LIFE.slices : SHORT_LIFE;
  let [longest, since] = [0, 0];
  for (let slice = 0; slice < slices && longest < LONG_LIFE.messages && since < LONG_LIFE.still; slice++) {
    here.machine.run(1);
    since = pf.log.length > longest ? 0 : since + 1;
    longest = Math.max(longest, pf.log.length);
  }
  await here.check();
  await (await migrate(here, there)).close();
};

/** The VF is stopped when the device is about to use the first descriptor of a ring. */
export const ringStart: Scenario = async (here, there) => {
  const { rx } = vfOf(here).state;
  const lastly = () => {
    for (let ticks = 0; ticks < RING_ROUND && rx[0]!.head !== 0; ticks++) here.traffic(1);
    if (rx[0]!.head !== 0) throw new Error('the ring does not come to its start');
  };
  await (await migrate(here, there, { lastly })).close();
};

/** What the guest has asked for is compared, beside its traffic. */
export const settings: Scenario = async (here, there) => {
  const { pf, state } = vfOf(here);
  // The driver does not ask for these; its mailbox is left alone.
  const ask = (op: VirtchnlOp, message: Uint8Array) => {
    const status = pf.handleMessage(VIRTCHNL_OPS[op], message, { replay: true });
    if (status !== 0) throw new Error(`the PF refuses ${op} with ${status}`);
  };
  ask('CONFIG_PROMISCUOUS_MODE', VirtchnlPromiscInfo.encode({ vsi_id: state.pf.vsiId, flags: 3 }));
  ask('SET_RSS_HASHCFG', VirtchnlRssHashcfg.encode({ hashcfg: state.pf.rss.hashcfg & ~(1n << 44n) }));
  const of = (side: Side) => {
    const { unicastPromisc, multicastPromisc, rss } = vfOf(side).state.pf;
    return JSON.stringify({ unicastPromisc, multicastPromisc, hashcfg: `${rss.hashcfg}` });
  };
  const asked = of(here);
  await (await migrate(here, there)).close();
  const found = of(there);
  there.found(asked === found, `${asked} became ${found}`);
};
