import { describe, expect, it } from 'vitest';
import { MESSAGE_LOG_LIMIT, MIGRATION_CAPS } from '../../devices/e810-vf/pf/message-log.js';
import {
  VIRTCHNL_CAPS as CAPS,
  VIRTCHNL_OPS,
  VIRTCHNL_STATUS,
  VirtchnlRssHfunc,
  virtchnlRequest,
} from '../../src/uapi/index.js';
import { addresses, Bench, irqMap, MAC, PEER, queueConfig, selection, VSI } from './e810-guest.js';

/** A VF of generation A. */
function logging(vsiId = VSI): Bench {
  const bench = new Bench({ vsiId });
  bench.state.pf.logging = true;
  return bench;
}

const opcodes = (bench: Bench) => bench.state.pf.log.map(({ opcode }) => opcode);

describe('the message log', () => {
  it('keeps the requests of a driver that comes up, in their order and as they came', () => {
    const bench = logging().up({ caps: 0xffff_ffff });
    expect(opcodes(bench)).toEqual([1, 3, 10, 6, 7, 8]);
    expect(bench.state.pf.log[2]!.payload).toEqual(virtchnlRequest('ADD_ETH_ADDR', addresses(MAC)));
  });

  it('does not keep what is not loggable', () => {
    const bench = logging().up({ caps: 0xffff_ffff });
    bench.request('GET_STATS', selection(0));
    bench.request('GET_RSS_HASHCFG_CAPS');
    bench.request('SET_RSS_HASHCFG', new Uint8Array(8));
    bench.request(
      'CONFIG_RSS_HFUNC',
      VirtchnlRssHfunc.encode({ vsi_id: VSI, reserved: 0, rss_algorithm: 0 }),
    );
    expect(opcodes(bench)).toEqual([1, 3, 10, 6, 7, 8]);
  });

  it('does not keep what fails, in the checks or in the handler', () => {
    const bench = logging().negotiate();
    bench.request('ENABLE_QUEUES', selection(1));
    bench.request('ENABLE_QUEUES', new Uint8Array(3));
    bench.request('GET_SUPPORTED_RXDIDS');
    bench.request('ADD_ETH_ADDR', addresses(PEER));
    expect(opcodes(bench)).toEqual([1, 3]);
  });

  it('is off unless it is on', () => {
    expect(new Bench().up().state.pf.log).toEqual([]);
  });

  it('merges nothing, and refuses the 1001st request without handling it, until a reset', () => {
    const bench = logging().negotiate();
    const [add, remove] = [addresses(MAC), addresses(MAC)];
    for (let count = 2; count < MESSAGE_LOG_LIMIT; count++)
      expect(
        bench.status(count % 2 === 0 ? 'ADD_ETH_ADDR' : 'DEL_ETH_ADDR', count % 2 === 0 ? add : remove),
      ).toBe(0);
    expect(bench.state.pf.log.length).toBe(1000);
    expect(bench.status('CONFIG_VSI_QUEUES', queueConfig(1))).toBe(VIRTCHNL_STATUS.ERR_NO_MEMORY);
    expect([bench.state.pf.log.length, bench.state.tx[0]!.configured]).toEqual([1000, false]);
    expect(bench.status('GET_STATS', selection(0))).toBe(0);
    bench.request('RESET_VF');
    bench.hardware.tick(1);
    bench.hardware.tick(1);
    expect([bench.state.pf.log, bench.state.pf.logging]).toEqual([[], true]);
    bench.negotiate();
    expect(bench.status('CONFIG_VSI_QUEUES', queueConfig(1))).toBe(0);
  });

  it('hides the capabilities that a replay would lose; VLAN takes the place of VLAN_V2', () => {
    const bench = logging().negotiate(0xffff_ffff);
    expect(bench.state.pf.caps & ~MIGRATION_CAPS).toBe(0);
    expect(bench.state.pf.caps & (CAPS.VLAN | CAPS.RX_FLEX_DESC)).toBe(CAPS.VLAN | CAPS.RX_FLEX_DESC);
  });
});

describe('a replay', () => {
  it('brings another VF into the same state, says nothing, and logs again', () => {
    const source = logging().up({ queues: 2 });
    source.request('ADD_VLAN', Uint8Array.of(VSI, 0, 1, 0, 9, 0));
    const target = logging(40);
    target.state.pf.guestVsiId = VSI;
    target.openMailbox();
    const payloads = source.state.pf.log.map(({ payload }) => payload.slice());
    for (const { opcode, payload } of source.state.pf.log)
      expect(target.pf.handleMessage(opcode, payload, { replay: true })).toBe(0);
    expect(target.memory.writes).toEqual([]);
    expect(opcodes(target)).toEqual(opcodes(source));
    expect(source.state.pf.log.map(({ payload }) => payload)).toEqual(payloads);
    expect(target.state.pf).toEqual({
      ...source.state.pf,
      ...{ vsiId: 40, guestVsiId: VSI, log: target.state.pf.log },
    });
    expect(target.state.tx).toEqual(source.state.tx);
    // The local number stands in the log, so that the next host need not know of this one.
    expect(target.state.pf.log[3]!.payload.slice(0, 2)).toEqual(Uint8Array.of(40, 0));
  });

  it('says what has failed', () => {
    const target = logging();
    expect(target.pf.handleMessage(VIRTCHNL_OPS.ENABLE_QUEUES, selection(1), { replay: true })).toBe(-64);
    expect(target.state.pf.log).toEqual([]);
  });
});

describe('the VSI number of another host', () => {
  /** A VF that came to this host: its guest knows number 7, here it is 40. */
  function moved(): Bench {
    const bench = logging().up();
    bench.state.pf.vsiId = 40;
    return bench;
  }

  it.each([
    ['CONFIG_VSI_QUEUES', queueConfig(2)],
    ['CONFIG_IRQ_MAP', irqMap(2)],
    ['ENABLE_QUEUES', selection(1)],
    ['DISABLE_QUEUES', selection(1)],
    ['ADD_ETH_ADDR', addresses(MAC)],
    ['DEL_ETH_ADDR', addresses(MAC)],
    ['ADD_VLAN', Uint8Array.of(VSI, 0, 1, 0, 9, 0)],
    ['CONFIG_PROMISCUOUS_MODE', Uint8Array.of(VSI, 0, 0, 0)],
    ['GET_STATS', selection(0)],
    ['CONFIG_RSS_HFUNC', VirtchnlRssHfunc.encode({ vsi_id: VSI, reserved: 0, rss_algorithm: 0 })],
  ] as const)('is replaced in %s', (op, payload) => {
    expect(moved().status(op, payload)).toBe(0);
  });

  it('is not replaced when it is a third one', () => {
    expect(moved().status('ENABLE_QUEUES', selection(1, 1, 8))).toBe(VIRTCHNL_STATUS.ERR_PARAM);
    expect(moved().status('ENABLE_QUEUES', selection(1, 1, 40))).toBe(0);
  });

  it('is forgotten in a reset', () => {
    const bench = moved();
    bench.pf.resetVf();
    expect(bench.state.pf.guestVsiId).toBe(40);
  });
});
