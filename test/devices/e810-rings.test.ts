import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { LONGEST_FRAME } from '../../devices/e810-vf/hardware/frame.js';
import {
  E810_VF_REGISTER_ARRAYS as ARRAYS,
  E810_RX_FLEX,
  E810_RX_LEGACY,
  E810_TX,
  E810RxFlexWriteback,
  VIRTCHNL_CAPS,
} from '../../src/uapi/index.js';
import { AT, addresses, Bench, frame, legacy, MAC, PEER, RING, RX_BUFFER } from './e810-guest.js';

const OUT = { to: PEER, from: MAC };
const { EOP, RS, IL2TAG1, DUMMY } = E810_TX.CMD;
const UNMAPPED = 0xffff_0000;
const { RX_FLEX_DESC, CRC } = VIRTCHNL_CAPS;
const CAPS = VIRTCHNL_CAPS.L2 | VIRTCHNL_CAPS.RSS_PF | VIRTCHNL_CAPS.VLAN;

/** `cmd_type_offset_bsz` of a Tx descriptor. */
const txWord = (bench: Bench, slot: number, queue = 0) => bench.memory.u64(AT.tx(queue) + slot * 16 + 8);
const isDone = (bench: Bench, slot: number) => (txWord(bench, slot) & 0xfn) === 0xfn;

const rxBytes = (bench: Bench, slot: number, length: number, queue = 0) =>
  bench.memory.at(AT.rxBuffers(queue) + slot * RX_BUFFER, length);

describe('a Tx queue', () => {
  it('sends a frame, writes DONE back and raises its vector', () => {
    const bench = new Bench().up();
    const tail = bench.putTx(0, 0, frame({ ...OUT, length: 100, mark: 7 }));
    bench.doorbell(0, tail);
    bench.memory.takeWrites();
    expect(bench.sent).toEqual([]);
    expect(bench.hardware.tick(8)).toBe(1);
    expect(bench.sent).toEqual([frame({ ...OUT, length: 100, mark: 7 })]);
    expect(txWord(bench, 0)).toBe((100n << 34n) | BigInt((EOP | RS) << 4) | 0xfn);
    expect(bench.memory.takeWrites()).toEqual([{ iova: AT.tx(0) + 8, length: 8 }]);
    expect([bench.state.tx[0]!.head, bench.interrupts]).toEqual([1, [1]]);
    expect(bench.state.pf.stats).toMatchObject({ tx_unicast: 1n, tx_bytes: 100n, tx_errors: 0n });
  });

  it('gathers a frame of many buffers, and leaves descriptors without RS alone', () => {
    const bench = new Bench().up();
    bench.putTxDescriptor(0, 0, { dtype: E810_TX.DTYPE.CONTEXT });
    const tail = bench.putTx(0, 1, frame({ ...OUT, length: 1000, mark: 3 }), { parts: 3, cmd: 0 });
    bench.putTx(0, tail, frame({ ...OUT, mark: 4 }), { cmd: RS });
    bench.doorbell(0, tail + 1);
    expect(bench.hardware.tick(1)).toBe(4);
    expect(bench.sent).toEqual([frame({ ...OUT, length: 1000, mark: 3 })]);
    expect(bench.interrupts).toEqual([]);
    expect(bench.hardware.tick(1)).toBe(1);
    expect([0, 1, 2, 3, 4].map((slot) => isDone(bench, slot))).toEqual([false, false, false, false, true]);
  });

  it('reports the descriptors that ask for it, wherever they are in a packet', () => {
    const bench = new Bench().up();
    bench.putTxDescriptor(0, 0, { address: AT.txBuffers(0), size: 30, cmd: RS });
    bench.putTxDescriptor(0, 1, { address: AT.txBuffers(0), size: 30, cmd: EOP });
    bench.doorbell(0, 2);
    bench.hardware.tick(8);
    expect([isDone(bench, 0), isDone(bench, 1)]).toEqual([true, false]);
  });

  it('goes round its ring, and sends every frame once and in order', () => {
    const bench = new Bench().up();
    let [slot, mark] = [0, 0];
    for (let round = 0; round < 20; round++) {
      for (let count = 0; count < 7; count++)
        slot = bench.putTx(0, slot, frame({ ...OUT, length: 90, mark: mark++ }), { parts: 1 + (mark % 3) });
      bench.doorbell(0, slot);
      while (bench.hardware.tick(5) > 0);
    }
    expect(bench.sent.map((each) => each[20])).toEqual(Array.from({ length: 140 }, (_, each) => each & 0xff));
    expect(bench.state.tx[0]!.head).toBe(slot);
  });

  it('waits for the end of a packet, and says nothing of it', () => {
    const bench = new Bench().up();
    const tail = bench.putTx(0, 0, frame({ ...OUT, length: 90 }), { parts: 3 });
    bench.doorbell(0, tail - 1);
    expect([bench.hardware.tick(8), bench.state.tx[0]!.head, bench.sent.length]).toEqual([0, 0, 0]);
    bench.hardware.drainAndStop();
    expect([bench.state.tx[0]!.head, bench.sent.length]).toEqual([0, 0]);
    bench.hardware.restart();
    bench.doorbell(0, tail);
    expect([bench.hardware.tick(8), bench.sent.length]).toEqual([3, 1]);
  });

  it('puts in the tag that a descriptor asks for, and the port VLAN', () => {
    const bench = new Bench().up();
    bench.request('ADD_VLAN', Uint8Array.of(7, 0, 1, 0, 5, 0));
    bench.doorbell(0, bench.putTx(0, 0, frame(OUT), { cmd: RS | IL2TAG1, tag: 0x6005 }));
    bench.hardware.tick(8);
    expect([...bench.sent[0]!.subarray(12, 20)]).toEqual([0x81, 0, 0x60, 5, 0x88, 0xb5, 0, 0]);
    expect(bench.sent[0]!.length).toBe(64);
    bench.state.pf.portVlan = { tpid: 0x8100, vid: 9, prio: 2 };
    bench.doorbell(0, bench.putTx(0, 1, frame(OUT)));
    bench.hardware.tick(8);
    expect([...bench.sent[1]!.subarray(12, 18)]).toEqual([0x81, 0, 0x40, 9, 0x88, 0xb5]);
  });

  it('drops what is spoofed', () => {
    const bench = new Bench().up();
    bench.request('ADD_VLAN', Uint8Array.of(7, 0, 1, 0, 5, 0));
    const frames = [
      frame({ to: PEER, from: PEER }),
      frame({ ...OUT, vlan: 6 }),
      frame({ ...OUT, vlan: 5 }),
      frame({ ...OUT, vlan: 0 }),
    ];
    let slot = 0;
    for (const each of frames) slot = bench.putTx(0, slot, each);
    bench.doorbell(0, slot);
    bench.hardware.tick(8);
    expect(bench.sent).toEqual(frames.slice(2));
    expect([0, 1, 2, 3].every((each) => isDone(bench, each))).toBe(true);
    expect(bench.state.pf.stats.tx_discards).toBe(2n);
    bench.state.pf.spoofCheck = false;
    bench.doorbell(0, bench.putTx(0, slot, frames[0]!));
    bench.hardware.tick(8);
    expect(bench.sent.length).toBe(3);
  });

  it.each([
    ['a buffer that is not mapped', { address: UNMAPPED, size: 60, cmd: EOP | RS }],
    ['a buffer beyond all addresses', { address: 2 ** 60, size: 60, cmd: EOP | RS }],
    ['a frame shorter than its header', { address: AT.txBuffers(0), size: 13, cmd: EOP | RS }],
    [
      'a frame longer than the port takes',
      { address: AT.txBuffers(0), size: LONGEST_FRAME + 1, cmd: EOP | RS },
    ],
    ['a descriptor of an unknown type', { dtype: 8, address: AT.txBuffers(0), size: 60, cmd: EOP | RS }],
  ])('completes %s, counts it, and goes on', (_name, descriptor) => {
    const bench = new Bench().up();
    bench.putTxDescriptor(0, 0, descriptor);
    bench.doorbell(0, bench.putTx(0, 1, frame(OUT)));
    expect(bench.hardware.tick(8)).toBe(2);
    expect([isDone(bench, 0), bench.sent.length, bench.state.pf.stats.tx_errors]).toEqual([true, 1, 1n]);
  });

  it('completes dummies and sends nothing', () => {
    const bench = new Bench().up();
    bench.putTxDescriptor(0, 0, { address: AT.txBuffers(0), size: 256, cmd: EOP | RS | DUMMY });
    bench.doorbell(0, 1);
    bench.hardware.tick(8);
    expect([isDone(bench, 0), bench.sent.length, bench.state.pf.stats.tx_errors]).toEqual([true, 0, 0n]);
  });

  it('gives up a ring without any end of a packet, and one that is not mapped', () => {
    const bench = new Bench().up();
    for (let slot = 0; slot < RING; slot++)
      bench.putTxDescriptor(0, slot, { address: AT.txBuffers(0), size: 9 });
    bench.doorbell(0, RING - 2);
    expect(bench.hardware.tick(8)).toBe(0);
    bench.doorbell(0, RING - 1);
    expect([bench.hardware.tick(8), bench.state.tx[0]!.head]).toEqual([RING - 1, RING - 1]);
    bench.state.tx[0]!.base = UNMAPPED;
    bench.doorbell(0, 3);
    expect([bench.hardware.tick(8), bench.hardware.tick(8), bench.state.tx[0]!.head]).toEqual([4, 0, 3]);
    expect(bench.state.pf.stats.tx_errors).toBe(2n);
  });

  it('takes no descriptor beyond its ring, none while disabled, stopped or paused', () => {
    const bench = new Bench().up();
    bench.putTx(0, 0, frame(OUT));
    bench.doorbell(0, RING);
    expect(bench.hardware.tick(8)).toBe(0);
    bench.doorbell(0, 1);
    bench.state.tx[0]!.enabled = false;
    expect(bench.hardware.tick(8)).toBe(0);
    bench.state.tx[0]!.enabled = true;
    bench.hardware.paused = true;
    expect(bench.hardware.tick(8)).toBe(0);
    bench.hardware.drainAndStop();
    expect([bench.sent.length, bench.interrupts, bench.state.pending[1]]).toEqual([1, [], 1]);
    bench.doorbell(0, bench.putTx(0, 1, frame(OUT)));
    bench.hardware.paused = false;
    expect([bench.hardware.tick(8), bench.interrupts]).toEqual([0, [1]]);
    bench.hardware.restart();
    expect(bench.hardware.tick(8)).toBe(1);
  });
});

describe('an Rx queue', () => {
  it('writes buffer and legacy descriptor, and raises its vector', () => {
    const bench = new Bench().up();
    bench.memory.takeWrites();
    expect(bench.hardware.receive(frame({ length: 100, mark: 9 }))).toBe(true);
    expect(rxBytes(bench, 0, 100)).toEqual(frame({ length: 100, mark: 9 }));
    const { DD, EOF } = E810_RX_LEGACY;
    expect(legacy(bench, 0)).toMatchObject({ status: DD | EOF, length: 100, ptype: 1, rss: 0, l2tag1: 0 });
    expect(bench.memory.takeWrites()).toEqual([
      { iova: AT.rxBuffers(0), length: 100 },
      { iova: AT.rx(0), length: 32 },
    ]);
    expect([bench.state.rx[0]!.head, bench.interrupts]).toEqual([1, [1]]);
    expect(bench.state.pf.stats).toMatchObject({ rx_unicast: 1n, rx_bytes: 100n, rx_discards: 0n });
  });

  it('writes the flex descriptor when that was chosen', () => {
    const bench = new Bench().up({ caps: CAPS | RX_FLEX_DESC, rxq: { rxdid: 2 } });
    bench.hardware.receive(frame({ length: 100, vlan: 5 }));
    const { DD, EOF, L2TAG1P } = E810_RX_FLEX.STATUS0;
    expect(E810RxFlexWriteback.decode(bench.memory.at(AT.rx(0), 32))).toMatchObject({
      rxdid: 2,
      ptype_flexi_flags0: 1,
      pkt_len: 96,
      status_error0: DD | EOF | L2TAG1P,
      l2tag1: 5,
    });
  });

  it('spreads a long frame over buffers; the last descriptor ends it', () => {
    const bench = new Bench().up({ rxq: { databuffer_size: 300 } });
    const long = frame({ length: 1000, vlan: 5 });
    expect(bench.hardware.receive(long)).toBe(true);
    // 256 bytes are used of 300; the tag is taken out.
    const parts = [0, 1, 2, 3].map((slot) => legacy(bench, slot));
    expect(parts.map(({ length, status, l2tag1 }) => [length, status, l2tag1])).toEqual([
      [256, 1, 0],
      [256, 1, 0],
      [256, 1, 0],
      [996 - 768, 7, 5],
    ]);
    const got = Buffer.concat(parts.map(({ length }, slot) => rxBytes(bench, slot, length)));
    expect([...got]).toEqual([...long.subarray(0, 12), ...long.subarray(16)]);
  });

  it('discards a frame of more than five buffers, one too long, and one for which there are not enough', () => {
    const bench = new Bench().up({ rxq: { databuffer_size: 128, max_pkt_size: 700 } });
    expect(bench.hardware.receive(frame({ length: 641 }))).toBe(false);
    expect(bench.hardware.receive(frame({ length: 701 }))).toBe(false);
    bench.write(ARRAYS.QRX_TAIL1.offset, 3);
    expect(bench.hardware.receive(frame({ length: 400 }))).toBe(false);
    expect(bench.hardware.receive(frame({ length: 384 }))).toBe(true);
    expect(bench.hardware.receive(frame())).toBe(false);
    expect(bench.state.pf.stats).toMatchObject({ rx_discards: 4n, rx_unicast: 1n });
  });

  it('goes round its ring with one descriptor less than it has', () => {
    const bench = new Bench().up();
    for (let mark = 0; mark < RING - 1; mark++) expect(bench.hardware.receive(frame({ mark }))).toBe(true);
    expect(bench.hardware.receive(frame())).toBe(false);
    for (let mark = RING - 1; mark < 3 * RING; mark++) {
      const free = (bench.state.rx[0]!.tail + 1) % RING;
      bench.postRxBuffer(0, bench.state.rx[0]!.tail);
      bench.write(ARRAYS.QRX_TAIL1.offset, free);
      expect(bench.hardware.receive(frame({ mark }))).toBe(true);
      expect(rxBytes(bench, mark % RING, 60)).toEqual(frame({ mark }));
    }
    expect(bench.state.pf.stats.rx_discards).toBe(1n);
  });

  it('keeps the FCS for who wants it', () => {
    const bench = new Bench().up({ caps: (CAPS & ~VIRTCHNL_CAPS.VLAN) | CRC, rxq: { crc_disable: 1 } });
    bench.hardware.receive(frame({ length: 61, vlan: 5 }));
    expect(legacy(bench, 0).length).toBe(65);
    const got = rxBytes(bench, 0, 65);
    expect(got.subarray(0, 61)).toEqual(frame({ length: 61, vlan: 5 }));
    expect(new DataView(got.buffer, got.byteOffset).getUint32(61, true)).toBe(crc32(got.subarray(0, 61)));
  });

  it.each([
    ['buffer', (bench: Bench) => bench.postRxBuffer(0, 0, UNMAPPED)],
    ['ring', (bench: Bench) => Object.assign(bench.state.rx[0]!, { base: UNMAPPED })],
    ['buffer of no size', (bench: Bench) => Object.assign(bench.state.rx[0]!, { bufferSize: 127 })],
    ['tail outside of the ring', (bench: Bench) => bench.write(ARRAYS.QRX_TAIL1.offset, RING)],
  ])('discards frames when it has a bad %s', (_name, spoil) => {
    const bench = new Bench().up();
    spoil(bench);
    bench.memory.takeWrites();
    expect([bench.hardware.receive(frame()), bench.hardware.receive(frame())]).toEqual([false, false]);
    expect([bench.memory.writes.length, bench.state.rx[0]!.head]).toEqual([0, 0]);
    expect(bench.state.pf.stats.rx_discards).toBe(2n);
  });
});

describe('the switch', () => {
  const BROADCAST = new Uint8Array(6).fill(0xff);
  const GROUP = Uint8Array.of(1, 0, 0x5e, 0, 0, 1);
  const passes = (bench: Bench, ...frames: Uint8Array[]) =>
    frames.map((each) => bench.hardware.receive(each));

  it('lets broadcast, own and wanted addresses pass, and counts by cast', () => {
    const bench = new Bench().up();
    const frames = [frame({ to: BROADCAST }), frame(), frame({ to: PEER }), frame({ to: GROUP })];
    expect(passes(bench, ...frames)).toEqual([true, true, false, false]);
    bench.request('ADD_ETH_ADDR', addresses(GROUP));
    expect(passes(bench, ...frames)).toEqual([true, true, false, true]);
    expect(bench.state.pf.stats).toMatchObject({
      ...{ rx_broadcast: 2n, rx_unicast: 2n, rx_multicast: 1n, rx_discards: 0n },
    });
  });

  it('lets all addresses pass to who is promiscuous', () => {
    const bench = new Bench({ trusted: true }).up();
    bench.request('CONFIG_PROMISCUOUS_MODE', Uint8Array.of(7, 0, 1, 0));
    expect(passes(bench, frame({ to: PEER }), frame({ to: GROUP }))).toEqual([true, false]);
    bench.request('CONFIG_PROMISCUOUS_MODE', Uint8Array.of(7, 0, 2, 0));
    expect(passes(bench, frame({ to: PEER }), frame({ to: GROUP }))).toEqual([false, true]);
  });

  it('filters VLANs from the first one on', () => {
    const bench = new Bench().up();
    const frames = [frame(), frame({ vlan: 0 }), frame({ vlan: 5 }), frame({ vlan: 6 })];
    expect(passes(bench, ...frames)).toEqual([true, true, true, true]);
    bench.request('ADD_VLAN', Uint8Array.of(7, 0, 1, 0, 5, 0));
    expect(passes(bench, ...frames)).toEqual([true, true, true, false]);
    bench.request('DEL_VLAN', Uint8Array.of(7, 0, 1, 0, 5, 0));
    expect(passes(bench, ...frames)).toEqual([true, true, true, true]);
  });

  it('takes the port VLAN off, and lets nothing else pass', () => {
    const bench = new Bench().up();
    bench.state.pf.portVlan = { tpid: 0x8100, vid: 5, prio: 0 };
    expect(passes(bench, frame(), frame({ vlan: 6 }), frame({ vlan: 5 }))).toEqual([false, false, true]);
    expect(legacy(bench, 0)).toMatchObject({ length: 56, status: 3, l2tag1: 0 });
  });

  it('lets nothing pass without filters, to a stopped or paused device, or what is no frame', () => {
    const bench = new Bench().up();
    expect(passes(bench, new Uint8Array(13).fill(0xff))).toEqual([false]);
    bench.state.filtersInstalled = false;
    expect(passes(bench, frame())).toEqual([false]);
    bench.state.filtersInstalled = true;
    bench.hardware.paused = true;
    expect(passes(bench, frame())).toEqual([false]);
    bench.hardware.paused = false;
    bench.hardware.drainAndStop();
    expect(passes(bench, frame())).toEqual([false]);
    bench.hardware.restart();
    expect(passes(bench, frame())).toEqual([true]);
    expect(bench.state.pf.stats.rx_discards).toBe(0n);
  });
});
